package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/ci/internal/wire"
)

func stepFailed(code int) error {
	return &Error{Failed: wire.Failed{Kind: wire.KindStep, Step: "build", ExitCode: code}}
}

func TestLostSessionIsCtrlCOrAnEngineThatWentAway(t *testing.T) {
	gone := fmt.Errorf("step build: %w", &url.Error{Op: "Post", URL: "http://dagger/query", Err: errors.New("EOF")})
	s := &session{}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel) // Ctrl-C, heard of later
	for name, err := range map[string]error{
		"no answer": gone, "502": errors.New("returned error 502: x"), "a killed step": stepFailed(137),
	} {
		if got := s.explain(ctx, "build", err); !errors.Is(got, context.Canceled) {
			t.Errorf("%s, then Ctrl-C: %v", name, got)
		}
	}
	var lost *Error
	if got := s.explain(t.Context(), "build", gone); !errors.As(got, &lost) || lost.Kind != wire.KindEngine || !errors.Is(got, gone) {
		t.Errorf("no Ctrl-C: %v", got)
	}
	failed := stepFailed(1)
	if got := s.explain(t.Context(), "build", failed); !errors.Is(got, failed) {
		t.Errorf("a failed step: %v", got)
	}
}

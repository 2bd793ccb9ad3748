package ci

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"
)

func TestLostSessionIsCtrlCOrAnEngineThatWentAway(t *testing.T) {
	gone := fmt.Errorf("step build: %w", &url.Error{Op: "Post", URL: "http://dagger/query", Err: errors.New("EOF")})
	b := &daggerBuilder{}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel) // Ctrl-C, heard of later
	for name, err := range map[string]error{
		"no answer": gone, "502": errors.New("returned error 502: x"), "a killed step": &StepError{ExitCode: 137},
	} {
		if got := b.explain(ctx, "build", err); !errors.Is(got, context.Canceled) {
			t.Errorf("%s, then Ctrl-C: %v", name, got)
		}
	}
	var lost *EngineError
	if got := b.explain(t.Context(), "build", gone); !errors.As(got, &lost) || !errors.Is(got, gone) {
		t.Errorf("no Ctrl-C: %v", got)
	}
	failed := &StepError{ExitCode: 1}
	if got := b.explain(t.Context(), "build", failed); !errors.Is(got, failed) {
		t.Errorf("a failed step: %v", got)
	}
}

func TestAStepThatTheEngineCouldNotStartDidNotFail(t *testing.T) {
	err := &StepError{Cell: "cpu", Step: "prepare", ExitCode: -1}
	if want := "cell cpu: step prepare was not run: the engine could not start its container, and its log says why"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

type hinted struct{ error }

func (hinted) Hint() string { return "from inside" }

func TestAnErrorWithoutACureKeepsTheHintInside(t *testing.T) {
	inner := fmt.Errorf("outer: %w", hinted{errors.New("inner")})
	if got := (&Error{Err: inner, Code: ExitUsage}).Hint(); got != "from inside" {
		t.Errorf("%q", got)
	}
	if got := (&Error{Err: inner, Cure: "mine", Code: ExitUsage}).Hint(); got != "mine" {
		t.Errorf("%q", got)
	}
	if got := (&Error{Err: errors.New("x")}).Hint(); got != "" {
		t.Errorf("%q", got)
	}
}

func TestReportPrintsEachErrorOfAJoinThatGotAnExitCode(t *testing.T) {
	var b strings.Builder
	err := &Error{Err: errors.Join(errors.New("f:1: one"), errors.New("f:2: two")), Code: ExitUsage}
	Report(&b, "x", Code(t.Context(), err), err)
	if got, want := b.String(), "x: error: f:1: one\nx: error: f:2: two\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhoReturnsTheCauseOfASignalIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&Signalled{syscall.SIGINT})
	err := fmt.Errorf("waiting: %w", context.Cause(ctx))
	if got := Code(ctx, err); got != ExitInterrupted {
		t.Errorf("exit code %d", got)
	}
	if got := Code(t.Context(), err); got != ExitFailed {
		t.Errorf("exit code %d where our own context goes on", got)
	}
}

package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/ci/internal/wire"
)

// Error is an error that crosses to the other half: its kind says which error of
// package ci it becomes.
type Error struct {
	wire.Failed
	Err error
}

func (e *Error) Error() string {
	if e.Kind == wire.KindStep {
		return fmt.Sprintf("step %s failed with exit code %d", e.Step, e.ExitCode)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// failed is what is said of an error.
func failed(err error) *wire.Failed {
	f := wire.Failed{Kind: wire.KindOther}
	var known *Error
	if errors.As(err, &known) {
		f = known.Failed
		err = known
	}
	f.Text = err.Error()
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.Hint = hinted.Hint()
	}
	return &f
}

// splitLines are the lines of an output, without their ends.
func splitLines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		all = append(all, strings.TrimRight(line, "\r\n"))
	}
	return all
}

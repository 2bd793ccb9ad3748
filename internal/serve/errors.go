package serve

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// Exit codes, see the README's list.
const (
	exitUsage = 2
	exitProof = 5
	exitDied  = 7
)

// DiedError says that llama-server ended by itself.
type DiedError struct {
	// Status is the exit status, -1 where a signal ended it.
	Status int
	// Signal is 0 where none did.
	Signal syscall.Signal
	// Ready says that it had answered before.
	Ready bool
	// Cause is zero where the output told nothing.
	Cause Diagnosis
	// Tail is its last lines, oldest first.
	Tail []string
}

func (e *DiedError) Error() string {
	when := "before it was ready"
	if e.Ready {
		when = "while it served"
	}
	how := fmt.Sprintf("exit status %d", e.Status)
	if e.Signal != 0 {
		how = fmt.Sprintf("signal %d, %v", int(e.Signal), e.Signal)
	}
	why := e.Cause.Text
	if why == "" {
		why = lastWords(e.Tail)
	}
	return fmt.Sprintf("llama-server died %s (%s): %s", when, how, why)
}

// Hint says what to do.
func (e *DiedError) Hint() string {
	if e.Cause.Fix == "" {
		return "run it again with -v to see all that llama-server says"
	}
	return e.Cause.Fix
}

// ExitCode is 7: llama-server died.
func (e *DiedError) ExitCode() int { return exitDied }

func lastWords(tail []string) string {
	for i := len(tail) - 1; i >= 0; i-- {
		if words := strings.TrimSpace(tail[i]); words != "" {
			return fmt.Sprintf("its last words were %q", words)
		}
	}
	return "it said nothing"
}

// StallError says that a server neither became ready nor did anything, for
// longer than was allowed. It was stopped.
type StallError struct {
	// For is how long nothing happened.
	For  time.Duration
	Tail []string
}

func (e *StallError) Error() string {
	return fmt.Sprintf("llama-server did nothing for %v and was not ready: %s", e.For.Round(time.Millisecond), lastWords(e.Tail))
}

// Hint says what to do.
func (e *StallError) Hint() string {
	return "run it again with -v to see where it stops; a driver that hangs shows in dmesg (Xid)"
}

// ExitCode is 7, as if it had died.
func (e *StallError) ExitCode() int { return exitDied }

// CPUError says that a server was to use a GPU and does not. It was stopped.
type CPUError struct {
	Backends Backends
	// Cause is zero where the output told nothing.
	Cause Diagnosis
	Tail  []string
}

func (e *CPUError) Error() string {
	s := "llama-server came up without the GPU, " + e.Backends.String()
	if e.Cause.Text != "" {
		s += ": " + e.Cause.Text
	}
	return s
}

// Hint says what to do.
func (e *CPUError) Hint() string {
	if e.Cause.Fix != "" {
		return e.Cause.Fix
	}
	return "run `llcuda-run doctor`; to serve on the CPU on purpose, add: -- --device none"
}

// ExitCode is 5: the GPU proof failed.
func (e *CPUError) ExitCode() int { return exitProof }

// PlaceError says that a server cannot be started here.
type PlaceError struct{ What, Cure string }

func (e *PlaceError) Error() string { return e.What }

// Hint says what to do.
func (e *PlaceError) Hint() string { return e.Cure }

// AnswerError says that the arguments make llama-server print something and end;
// that is done and there is no server.
type AnswerError struct{ Flag string }

func (e *AnswerError) Error() string {
	return fmt.Sprintf("llama-server answered %s and ended, as it does", e.Flag)
}

// ExitCode is 0: it is what was asked for.
func (e *AnswerError) ExitCode() int { return 0 }

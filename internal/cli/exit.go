// Package cli holds what both programs share at their edge: streams and
// environment as values, exit codes, how an error and its cure are printed, and
// progress for a terminal, a pipe or a program. It decides nothing.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes, the same in both programs. They are a contract, see README.md.
const (
	ExitOK          = 0
	ExitFailed      = 1   // failed, or a check found a miss
	ExitUsage       = 2   // the command line is wrong
	ExitNoBundle    = 3   // no bundle fits this host
	ExitDownload    = 4   // download or verification failed
	ExitProof       = 5   // the GPU proof failed
	ExitModel       = 6   // model not found or damaged
	ExitServer      = 7   // llama-server died
	ExitInterrupted = 130 // Ctrl-C
)

// UsageError is a mistake in the command line.
type UsageError struct{ Msg string }

func (e *UsageError) Error() string { return e.Msg }

// ExitCode makes it exit 2.
func (e *UsageError) ExitCode() int { return ExitUsage }

// Usagef is a UsageError with a formatted message.
func Usagef(format string, args ...any) error {
	return &UsageError{Msg: fmt.Sprintf(format, args...)}
}

// Error is a failure with a cure and an exit code of its own.
type Error struct {
	Err  error
	Cure string
	Code int
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Hint is what to type or do; without a Cure, what the error inside says.
func (e *Error) Hint() string {
	var inner interface{ Hint() string }
	if e.Cure == "" && errors.As(e.Err, &inner) {
		return inner.Hint()
	}
	return e.Cure
}

// ExitCode is the program's exit code.
func (e *Error) ExitCode() int { return e.Code }

// Code maps an error to the exit code of the program. ctx tells an
// interruption by the user from a deadline of our own.
func Code(ctx context.Context, err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return ExitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &coded):
		return coded.ExitCode()
	default:
		return ExitFailed
	}
}

// Report prints an error and its cure, each line led by the program's name. A
// joined error is printed one line an error. An error with Silent() true has
// said everything already.
func Report(w io.Writer, program string, code int, err error) {
	var silent interface{ Silent() bool }
	if err == nil || code == ExitOK || errors.As(err, &silent) && silent.Silent() {
		return
	}
	if code == ExitInterrupted {
		fmt.Fprintf(w, "%s: interrupted\n", program)
		return
	}
	all := split(err)
	for i, e := range all {
		fmt.Fprintf(w, "%s: error: %s\n", program, indent(e.Error()))
		hint := hintOf(e)
		if hint == "" || i+1 < len(all) && hintOf(all[i+1]) == hint {
			continue // the last of a row of errors with one cure tells it
		}
		fmt.Fprintf(w, "%s: hint: %s\n", program, indent(hint))
	}
}

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// split takes a top-level errors.Join apart, also one that only got an exit code.
func split(err error) []error {
	if coded, ok := err.(*Error); ok && coded.Cure == "" { //nolint:errorlint // the outermost error only
		return split(coded.Err)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && strings.Contains(err.Error(), "\n") {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, split(e)...)
		}
		return all
	}
	return []error{err}
}

func indent(s string) string { return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ") }

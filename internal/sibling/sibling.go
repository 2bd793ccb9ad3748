// Package sibling starts the second program of one installation and speaks with
// it: what is heavy to load is linked into a program of its own, and only those
// commands that need it pay for it.
//
// The two talk in JSON values over the child's standard input and output. The
// child speaks first and says which protocol it speaks; what follows is between
// the two callers of this package. Closing the child's input asks it to stop: it
// then ends what it holds and exits. The same happens when the parent dies,
// however it dies, and on Linux the kernel kills the child then too. A child that
// does not stop within a grace is killed.
//
// The child has a process group of its own: Ctrl-C reaches the parent alone, which
// passes it on. Nothing of the child goes to the terminal; the end of what it wrote
// on standard error is in the error that says how it died.
//
// Both sides trust each other: they are two files of one build, side by side.
package sibling

import (
	"errors"
	"fmt"
	"strings"
)

// Protocol is the version of what the two programs say to each other. It changes
// with every change of the values.
const Protocol = 1

// hello is the child's first value.
type hello struct {
	Program  string `json:"program"`
	Protocol int    `json:"protocol"`
}

// MissingError says that the second program is not where it belongs.
type MissingError struct {
	Program string
	Err     error
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("starting %s: %v", e.Program, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// Hint says how to get it.
func (e *MissingError) Hint() string {
	return "install both programs of one build in one folder (`make build` puts them into bin/); `--builder host` builds without it"
}

// StrangerError says that the program does not speak our protocol.
type StrangerError struct {
	Program string
	// Protocol is what it speaks; 0 where it said something else altogether.
	Protocol int
	Err      error
}

func (e *StrangerError) Error() string {
	if e.Protocol == 0 {
		return fmt.Sprintf("%s does not speak our protocol: %v", e.Program, e.Err)
	}
	return fmt.Sprintf("%s speaks protocol %d, and this program %d", e.Program, e.Protocol, Protocol)
}

func (e *StrangerError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *StrangerError) Hint() string {
	return "both programs must be of one build: install them again (`make build`)"
}

// DiedError says that the program ended before its answer.
type DiedError struct {
	Program string
	// How is the process's end: "signal: killed".
	How string
	// Said is the end of what it wrote on standard error.
	Said string
}

func (e *DiedError) Error() string {
	text := fmt.Sprintf("%s ended before it answered: %s", e.Program, e.How)
	if said := strings.TrimSpace(e.Said); said != "" {
		text += ":\n" + said
	}
	return text
}

// Hint says what to do.
func (e *DiedError) Hint() string {
	return "run it again; `dmesg` tells whether the kernel killed it for want of memory"
}

// errHungUp is the cause where the parent asked for the end.
var errHungUp = errors.New("the parent hung up")

//go:build linux && amd64

package main

import (
	"io"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
)

// ink colours words, or leaves them as they are.
type ink bool

// inkFor is ink where w is a terminal that shows colours, and nobody asked for
// none (NO_COLOR, whatever its value but "").
func inkFor(s *cli.Streams, w io.Writer) ink {
	_, tty := cli.Terminal(w)
	return ink(tty && s.Env("NO_COLOR") == "" && s.Env("TERM") != "dumb")
}

// of colours text by what it is about: a verdict, a proof's result, or "problem".
func (i ink) of(about, text string) string {
	code := map[string]string{
		facts.VerdictNative: "32", facts.VerdictJIT: "33", facts.VerdictUnknown: "33", facts.VerdictRefused: "31", "problem": "1;31",
		"proved": "32", "failed": "31",
	}[about]
	if !bool(i) || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

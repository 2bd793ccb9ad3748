package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
)

// terminal is a real pseudo-terminal; what is written to it can be read at its master.
func terminal(t *testing.T) (slave, master *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	call := func(request uintptr, n *int32) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(n))); errno != 0 {
			t.Fatal(errno)
		}
	}
	var unlock, number int32
	call(syscall.TIOCSPTLCK, &unlock)
	call(syscall.TIOCGPTN, &number)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return slave, master
}

func TestColourIsForATerminalAlone(t *testing.T) {
	tty, _ := terminal(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	streams := func(env ...string) *cli.Streams { return cli.NewStreams(nil, nil, nil, env) }
	for name, c := range map[string]struct {
		got, want ink
	}{
		"a terminal":                     {inkFor(streams("TERM=xterm"), tty), true},
		"a terminal without a name":      {inkFor(streams(), tty), true},
		"NO_COLOR":                       {inkFor(streams("TERM=xterm", "NO_COLOR=1"), tty), false},
		"an empty NO_COLOR says nothing": {inkFor(streams("TERM=xterm", "NO_COLOR="), tty), true},
		"a terminal that knows none":     {inkFor(streams("TERM=dumb"), tty), false},
		"a file":                         {inkFor(streams("TERM=xterm"), file), false},
		"a notebook's stream":            {inkFor(streams("TERM=xterm"), &bytes.Buffer{}), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func TestColourChangesNothingButColour(t *testing.T) {
	candidates := []facts.Candidate{{Bundle: "a", Verdict: facts.VerdictNative}, {Bundle: "b", Verdict: facts.VerdictRefused, Reasons: []facts.Reason{{Code: facts.NoGPU, CUDAError: 100, Text: long}}}}
	var plain, painted bytes.Buffer
	writeCandidates(&plain, false, nil, candidates)
	writeCandidates(&painted, true, nil, candidates)
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(painted.String(), "\x1b[31mrefused \x1b[0m b\n") {
		t.Errorf("plain:\n%q\npainted:\n%q", plain.String(), painted.String())
	}
	bare := painted.String()
	for _, code := range []string{"\x1b[31m", "\x1b[32m", "\x1b[0m"} {
		bare = strings.ReplaceAll(bare, code, "")
	}
	if bare != plain.String() {
		t.Errorf("%q\n%q", bare, plain.String())
	}
}

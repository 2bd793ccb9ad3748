package clitest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait of a script.
const patience = 30 * time.Second

// Command is a command of a script.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Commands are:
//
//	exits CODE PROGRAM ARG…          the program ends with this exit code
//	await FILE REGEXP                wait until the file holds a line like this
//	signal NAME SIGNAL               send INT, TERM, HUP or KILL to what keep runs as NAME
//	columns FILE N                   no line is longer than N columns
//	gone FILE                        wait until the process whose number is in the file has ended
//	[!] found PATTERN                a file matches the shell pattern
//	one PATTERN                      exactly one file matches
//	flip FILE                        change one bit in the middle of a file
//	cut FILE N                       keep the first N bytes of a file
//	newkey FILE                      a key pair: FILE and FILE.pub
//	mkdist DIST ID TOOLKIT FOLDER [FACTS.json] [fixture] [host] [stock:FOLDER]
//	release FOLDER TAG DIST KEY      publish DIST under TAG
//	hub                              a hub with o/tiny-GGUF and o/gated-GGUF; HF_ENDPOINT and HF_HOME lead to it
//
// A FILE pattern that matches one file stands for it.
func Commands() map[string]Command {
	return map[string]Command{
		"exits": exits, "await": await, "gone": gone, "found": found, "signal": send, "columns": columns,
		"one": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) != 1 {
				ts.Fatalf("usage: one PATTERN")
			}
			one(ts, args[0])
		},
		"flip": flip, "cut": cut, "newkey": newKey, "mkdist": makeDist, "release": publish, "hub": startHub,
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(first(args))
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%s ended with exit code %d, not %d", args[1], got, want)
	}
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile(`(?m)` + args[1])
	ts.Check(err)
	var data []byte
	if !eventually(func() bool {
		data, _ = os.ReadFile(ts.MkAbs(args[0])) // it may not be there yet
		return re.Match(data)
	}) {
		ts.Fatalf("no %q in %s:\n%s", args[1], args[0], data)
	}
}

func send(ts *testscript.TestScript, neg bool, args []string) {
	known := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || known[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME INT|TERM|HUP|KILL")
	}
	await(ts, false, []string{args[0] + ".pid", "."})
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0] + ".pid")))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, known[args[1]]))
}

func columns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: columns FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for line := range strings.SplitSeq(ts.ReadFile(args[0]), "\n") {
		if len([]rune(line)) > n {
			ts.Fatalf("longer than %d columns: %q", n, line)
		}
	}
}

func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone FILE")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	if !eventually(func() bool {
		// A zombie has ended, too: its new parent may never ask.
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(stat), ") Z ")
	}) {
		ts.Fatalf("process %d is still there", pid)
	}
}

func eventually(ok func() bool) bool {
	deadline, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return ok()
		}
	}
	return true
}

func found(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] found PATTERN")
	}
	list, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if neg == (len(list) > 0) {
		ts.Fatalf("%s matches %q", args[0], list)
	}
}

// one is the file that a pattern matches.
func one(ts *testscript.TestScript, pattern string) string {
	list, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(list) != 1 {
		ts.Fatalf("%s matches %q", pattern, list)
	}
	return list[0]
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	file := one(ts, args[0])
	data, err := os.ReadFile(file)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(file, data, 0o644))
}

func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE N")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(one(ts, args[0]), n))
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

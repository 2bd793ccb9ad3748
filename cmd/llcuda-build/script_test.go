package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/ci/engine"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/cli/clitest"
	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

var update = flag.Bool("update", false, "rewrite the golden texts of the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"llcuda-build":  main,
		"llcuda-engine": llcudaEngine,
		"keep":          clitest.Keep,
	})
}

// llcudaEngine is what cmd/llcuda-engine is.
func llcudaEngine() {
	s := cli.NewStreams(os.Stdin, os.Stdout, os.Stderr, os.Environ())
	err := engine.Run(context.Background(), os.Args[1:], s.EnvMap(), s.In, s.Out)
	cli.Report(s.Err, "llcuda-engine", cli.Code(context.Background(), err), err)
	os.Exit(cli.Code(context.Background(), err))
}

// opens checks a release as a runner does: opens FOLDER KEY.pub REPOSITORY.
func opens(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: opens FOLDER KEY.pub REPOSITORY")
	}
	key, err := bundles.ReadPublicKey(ts.MkAbs(args[1]))
	ts.Check(err)
	raw := ts.ReadFile(filepath.Join(args[0], bundles.ManifestName))
	sig := ts.ReadFile(filepath.Join(args[0], bundles.SignatureName))
	_, err = bundles.Open([]byte(raw), []byte(sig), []bundles.PublicKey{key}, bundles.Want{Repository: args[2], Release: filepath.Base(args[0])})
	ts.Check(err)
}

// fakeGitHub starts a fake GitHub with repository owner/repo and tag v1, and points the
// programs to it: github [reader|archived].
func fakeGitHub(t *testing.T) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		f := hubtest.New(t)
		for _, arg := range args {
			switch arg {
			case "reader":
				f.Do(func() { f.Push = false })
			case "archived":
				f.Do(func() { f.Archived = true })
			default:
				ts.Fatalf("usage: github [reader|archived]")
			}
		}
		f.Do(func() { f.Tags["v2"] = hubtest.Head })
		ts.Setenv("GITHUB_API_URL", f.URL())
		ts.Setenv("GITHUB_TOKEN", hubtest.Token)
	}
}

func TestScripts(t *testing.T) {
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	commands := clitest.Commands()
	commands["opens"] = opens
	commands["github"] = fakeGitHub(t)
	commands["library"] = library
	commands["two"] = two
	commands["take"] = take
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		Cmds:               commands,
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			// With -race each program would wait a second at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("SAMPLES", filepath.Join(repository, "internal/inspect/testdata"))
			e.Setenv("MATRIX", filepath.Join(repository, "matrix/cuda.yaml"))
			e.Setenv("SELF", self)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("LLCUDA_CACHE", filepath.Join(e.WorkDir, "cache"))
			return tools(e)
		},
	})
}

// tools makes the PATH of a script: the programs under test, the few of this
// machine that a plan's own scripts call, and in place of compilers programs
// that do nothing. No toolkit of this machine is on it. A script that builds
// brings its own cmake.
func tools(e *testscript.Env) error {
	dir := filepath.Join(e.WorkDir, "tools")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"sh", "cat", "chmod", "cp", "getconf", "ln", "ls", "mkdir", "readlink", "rm", "sed", "sleep"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("a plan's scripts call it: %w", err)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name, does := range map[string]string{"ninja": "", "cc": "", "c++": "", "nvcc": "", "readelf": "", "strip": `cp "$4" "$3"`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+does+"\n"), 0o755); err != nil {
			return err
		}
	}
	programs, _, _ := strings.Cut(e.Getenv("PATH"), string(filepath.ListSeparator))
	e.Setenv("PATH", programs+string(filepath.ListSeparator)+dir)
	return nil
}

// library makes a shared library that defines functions: library FILE SONAME [CALL…].
func library(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: library FILE SONAME [CALL…]")
	}
	ts.Check(compile(ts.MkAbs(args[0]), args[1], args[2:], nil))
}

// compile makes a shared library that defines functions and calls others, which
// link with more arguments.
func compile(file, soname string, defined, called []string, more ...string) error {
	text := "void llcuda_anchor(void) {}\n"
	for _, name := range defined {
		text += "void " + name + "(void) {}\n"
	}
	for _, name := range called {
		text += "void " + name + "(void);\nvoid (*llcuda_" + name + ")(void) = " + name + ";\n"
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	args := append([]string{"-shared", "-nostdlib", "-fPIC", "-s", "-Wl,--build-id=none", "-Wl,-soname," + soname, "-o", file, "-x", "c", "-", "-x", "none"}, more...)
	c := exec.Command("gcc", args...)
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil
}

// two says that exactly two files match.
func two(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: two PATTERN")
	}
	if found, err := filepath.Glob(ts.MkAbs(args[0])); err != nil || len(found) != 2 {
		ts.Fatalf("%s matches %q, not two files: %v", args[0], found, err)
	}
}

// take copies the one file that matches a pattern: take PATTERN FILE.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: take PATTERN FILE")
	}
	found, err := filepath.Glob(ts.MkAbs(args[0]))
	if err != nil || len(found) != 1 {
		ts.Fatalf("%s matches %q: %v", args[0], found, err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(found[0])), 0o644))
}

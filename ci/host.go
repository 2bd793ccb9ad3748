package ci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/waqasm86/llcuda/ci/internal/lines"
	"github.com/waqasm86/llcuda/matrix"
)

// HostOptions are what the host builder takes from its caller.
type HostOptions struct {
	// Env is the caller's environment. Steps see PATH, HOME, TMPDIR, CC, CXX,
	// CUDACXX and CUDAHOSTCXX of it, LANG=C and the plan's own, nothing else.
	Env map[string]string
	// Grace is how long a cancelled step has between SIGTERM and SIGKILL; 0 is 5 s.
	Grace time.Duration
}

// hostEnv are the variables that a host build takes over.
var hostEnv = [...]string{"PATH", "HOME", "TMPDIR", "CC", "CXX", "CUDACXX", "CUDAHOSTCXX"}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

type hostBuilder struct {
	env   []string
	grace time.Duration
}

// NewHost makes the builder that runs plans on this machine. Which tools a plan
// needs is looked up by Build, before anything runs; a *ToolError names them.
func NewHost(o HostOptions) (Builder, error) {
	b := &hostBuilder{grace: o.Grace}
	if b.grace == 0 {
		b.grace = 5 * time.Second
	}
	if b.grace < 0 {
		return nil, fmt.Errorf("host builder: a grace of %v", o.Grace)
	}
	b.env = hostEnvOf(o.Env)
	return b, nil
}

// hostEnvOf is what steps see of the caller's environment.
func hostEnvOf(env map[string]string) []string {
	out := []string{"PATH=" + defaultPath, "LANG=C"}
	for _, k := range hostEnv {
		if v := env[k]; v != "" {
			out = append(out, k+"="+v)
		}
	}
	return out
}

// Close does nothing: a host build holds nothing when it is over.
func (b *hostBuilder) Close() error { return nil }

func (b *hostBuilder) Build(ctx context.Context, p matrix.Plan, o Job) (Result, error) {
	env := overlay(b.env, p.Env)
	if err := requireTools(p, env); err != nil {
		return Result{}, fmt.Errorf("cell %s: %w", p.Cell.ID, err)
	}
	if err := sameDir(o.SourceDir, p.Dirs.Source); err != nil {
		return Result{}, fmt.Errorf("cell %s: %w", p.Cell.ID, err)
	}
	st, err := openStaging(o.OutDir)
	if err != nil {
		return Result{}, fmt.Errorf("cell %s: %w", p.Cell.ID, err)
	}
	defer st.close()

	if err := makeDirs(p.Dirs); err != nil {
		return Result{}, fmt.Errorf("cell %s: %w", p.Cell.ID, err)
	}
	r := newReport(p.Cell.ID, o)
	for _, s := range p.Steps {
		r.begin(s.Name, s.Args...)
		if err := b.step(ctx, s, p.Dirs.Build, env, r); err != nil {
			return Result{}, err
		}
	}
	res := Result{Dir: st.outDir, Timings: r.finish()}
	if p.ToolsFile != "" {
		if res.Tools, err = readTools(p.ToolsFile); err != nil {
			return Result{}, fmt.Errorf("cell %s: %w", p.Cell.ID, err)
		}
	}
	if p.WitnessFile != "" {
		text, err := os.ReadFile(p.WitnessFile)
		if err != nil {
			return Result{}, fmt.Errorf("cell %s: reading what cuobjdump said: %w", p.Cell.ID, err)
		}
		res.Witness = string(text)
	}
	if err := st.finish(p.Dirs.Out); err != nil {
		return Result{}, fmt.Errorf("cell %s: %w", p.Cell.ID, err)
	}
	return res, nil
}

// step runs one command in a process group of its own. When it returns, nothing
// of the group is left.
func (b *hostBuilder) step(ctx context.Context, s matrix.Step, dir string, env []string, r *report) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cell %s: before step %s: %w", r.cell, s.Name, err)
	}
	path, err := lookPath(s.Args[0], env)
	if err != nil {
		return fmt.Errorf("cell %s: step %s: %w", r.cell, s.Name, err)
	}
	out := &lines.Writer{Each: r.line}
	cmd := exec.CommandContext(ctx, path, s.Args[1:]...)
	cmd.Args[0] = s.Args[0]
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	cmd.SysProcAttr = ownGroup()
	// Cancel asks; the timer, then WaitDelay, insist. WaitDelay is also the limit
	// for the pipe of a process that the step left running.
	var insist *time.Timer
	cmd.Cancel = func() error {
		pgid := cmd.Process.Pid
		insist = time.AfterFunc(b.grace, func() { _ = syscall.Kill(-pgid, syscall.SIGKILL) })
		return syscall.Kill(-pgid, syscall.SIGTERM)
	}
	cmd.WaitDelay = b.grace + 2*time.Second

	// The parent-death signal is bound to the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cell %s: starting step %s: %w", r.cell, s.Name, err)
	}
	err = cmd.Wait()
	if insist != nil {
		insist.Stop()
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what the step left running
	out.Flush()

	state := cmd.ProcessState
	switch {
	case ctx.Err() != nil && (!state.Success() || err != nil):
		return fmt.Errorf("cell %s: step %s: %w", r.cell, s.Name, ctx.Err())
	case state.Success():
		return nil // also where only WaitDelay ended the wait for a pipe
	case state.Exited():
		return r.failed(s, state.ExitCode(), nil)
	default:
		code := -1
		if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			code = 128 + int(w.Signal())
		}
		return r.failed(s, code, nil)
	}
}

// makeDirs makes the folders of a host build; the output folder must be empty.
func makeDirs(d matrix.Dirs) error {
	for _, dir := range []string{d.Build, d.Out, d.Cache} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the build folders: %w", err)
		}
	}
	if entries, err := os.ReadDir(d.Out); err != nil || len(entries) > 0 {
		return errors.Join(err, &OutputError{Dir: d.Out})
	}
	return nil
}

// sameDir holds a job's source against the plan's, which names it in its steps.
func sameDir(a, b string) error {
	x, err := os.Stat(a)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	y, err := os.Stat(b)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if !x.IsDir() || !os.SameFile(x, y) {
		return fmt.Errorf("source %s is not the folder that the plan names, %s", a, b)
	}
	return nil
}

func readTools(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading which tools built it: %w", err)
	}
	tools, err := parseTools(string(data))
	if err != nil {
		return nil, fmt.Errorf("reading which tools built it: %s: %w", filepath.Base(file), err)
	}
	return tools, nil
}

// overlay puts the plan's variables over the host's; sorted, one of each.
func overlay(base, plan []string) []string {
	m := map[string]string{}
	for _, kv := range append(append([]string(nil), base...), plan...) {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	out := make([]string, 0, len(m))
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

func lookup(env []string, key string) string {
	for _, kv := range env {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v
		}
	}
	return ""
}

// lookPath finds a program on env's PATH, not on this process's.
func lookPath(tool string, env []string) (string, error) {
	if strings.Contains(tool, "/") {
		return tool, executable(tool)
	}
	for _, dir := range filepath.SplitList(lookup(env, "PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path := filepath.Join(dir, tool); executable(path) == nil {
			return path, nil
		}
	}
	return "", toolsError([]string{tool})
}

func executable(path string) error {
	switch st, err := os.Stat(path); {
	case err != nil:
		return err
	case st.IsDir() || st.Mode()&0o111 == 0:
		return fmt.Errorf("%s: %w", path, fs.ErrPermission)
	}
	return nil
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/waqasm86/llcuda/internal/serve"
)

// serveModel is `llcuda-run serve` to its first answer, with the bundle installed
// and proved, beside the same llama-server started by hand.
func serveModel(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	const name = "the bundle's llama-server, by hand"
	if b.dist == "" {
		return nil, nil, name, errors.New("no bundle to serve with: -dist")
	}
	run := filepath.Join(filepath.Dir(b.bin), "llcuda-run")
	key, releases, home := filepath.Join(b.work, "key"), filepath.Join(b.work, "releases"), filepath.Join(b.work, "home")
	env := append(os.Environ(), "LLCUDA_HOME="+home, "LLCUDA_FROM="+releases, "LLCUDA_KEY="+key+".pub")
	for _, argv := range [][]string{
		{b.bin, "keygen", "--no-password", key},
		{b.bin, "publish", "bench", b.dist, "--to", "dir:" + releases, "--sign-key", key, "--partial"},
		{run, "selftest", "--cpu"},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, nil, name, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
		}
	}
	first := func(line string) string {
		if strings.HasPrefix(line, "http://") {
			return line
		}
		return ""
	}
	mine := []string{run, "serve", "tiny", "--cpu", "--port", "0"}
	if _, err := toFirstAnswer(ctx, mine, env, true, first); err != nil { // it writes the model, too
		return nil, nil, name, err
	}
	servers, _ := filepath.Glob(filepath.Join(home, "bundles", "*", "*", "*", "llama-server")) // the pattern is sound
	models, _ := filepath.Glob(filepath.Join(home, "cache", "models", "tiny-*.gguf"))
	if len(servers) != 1 || len(models) != 1 {
		return nil, nil, name, fmt.Errorf("installed are %q and %q", servers, models)
	}
	theirs := []string{servers[0], "--model", models[0], "--host", "127.0.0.1", "--port", "0", "--verbosity", "4"}
	listening := func(line string) string {
		if _, url, ok := strings.Cut(line, "listening on "); ok {
			return strings.TrimSpace(url)
		}
		return ""
	}
	// By turns, so that both see the same machine.
	for range b.runs {
		one, err := toFirstAnswer(ctx, mine, env, true, first)
		if err != nil {
			return nil, nil, name, err
		}
		ours = append(ours, one)
		if one, err = toFirstAnswer(ctx, theirs, env, false, listening); err != nil {
			return nil, nil, name, err
		}
		rival = append(rival, one)
	}
	return ours, rival, name, nil
}

// toFirstAnswer starts a server, asks it as soon as it says where, and ends it. Its
// CPU time and memory are those of the whole life.
func toFirstAnswer(ctx context.Context, argv, env []string, stdout bool, where func(line string) string) (sample, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = env
	pipe, err := cmd.StderrPipe()
	if stdout {
		cmd.Stderr = nil
		pipe, err = cmd.StdoutPipe()
	}
	if err != nil {
		return sample{}, err
	}
	from := time.Now()
	if err := cmd.Start(); err != nil {
		return sample{}, err
	}
	lines := bufio.NewScanner(pipe)
	url := ""
	for url == "" && lines.Scan() {
		url = where(lines.Text())
	}
	go func() { // so that it never waits for a reader
		for lines.Scan() {
		}
	}()
	if url == "" {
		_ = cmd.Process.Kill()
		return sample{}, fmt.Errorf("%s said no address: %w", argv[0], cmd.Wait())
	}
	_, err = serve.Complete(ctx, url, "x")
	for err != nil && strings.Contains(err.Error(), "503") && ctx.Err() == nil { // it still loads
		_, err = serve.Complete(ctx, url, "x")
	}
	took := time.Since(from)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if waited := cmd.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	s := sample{wall: took, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.memory = u.Maxrss << 10
	}
	return s, nil
}

package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"sort"
	"strings"
	"syscall"
	"time"
)

// DefaultTimeout bounds each child. A first NVML Init on a machine without
// persistence mode was seen to take seconds for each GPU.
const DefaultTimeout = 20 * time.Second

// prober runs children that ask the driver.
type prober struct {
	self    []string
	env     map[string]string
	timeout time.Duration
}

// ask runs one child. What it could not tell is in answer.Error, always with a
// reason; a child that died is an answer too.
func (p prober) ask(ctx context.Context, q question) answer {
	if len(p.self) == 0 {
		return answer{Error: "not asked: no probe program was given"}
	}
	in, err := json.Marshal(q)
	if err != nil {
		return answer{Error: err.Error()}
	}
	env := map[string]string{}
	for k, v := range p.env {
		env[k] = v
	}
	// The driver's libraries load each other by name.
	env["LD_LIBRARY_PATH"] = strings.TrimSuffix(path.Dir(q.Path)+":"+env["LD_LIBRARY_PATH"], ":")
	out, err := p.run(ctx, p.self, env, bytes.NewReader(in))
	var a answer
	if err != nil {
		return answer{Error: err.Error()}
	}
	if err := json.Unmarshal(out, &a); err != nil {
		return answer{Error: fmt.Sprintf("the probe's answer cannot be read: %v", err)}
	}
	return a
}

// maxOutput bounds what is kept of a child's output.
const maxOutput = 1 << 20

// run starts a child in a process group of its own, and kills the group when
// the time is up. The error holds the child's last words.
func (p prober) run(ctx context.Context, argv []string, env map[string]string, in io.Reader) ([]byte, error) {
	timeout := p.timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := exec.CommandContext(limited, argv[0], argv[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	c.Stdin = in
	c.Env = []string{}
	for k, v := range env {
		c.Env = append(c.Env, k+"="+v)
	}
	sort.Strings(c.Env)
	var out, words bounded
	c.Stdout, c.Stderr = &out, &words
	err := c.Run()
	if err == nil {
		return out.data, nil
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %v", timeout)
	default:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				err = fmt.Errorf("it died of signal %d (%v)", int(status.Signal()), status.Signal())
			}
		}
	}
	if last := lastLines(string(words.data), 3); last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	return out.data, err
}

// bounded keeps the first maxOutput bytes and lets the rest pass.
type bounded struct{ data []byte }

func (b *bounded) Write(p []byte) (int, error) {
	b.data = append(b.data, p[:min(len(p), maxOutput-len(b.data))]...)
	return len(p), nil
}

// lastLines joins the last n lines that say something. Of a Go program that
// crashed in C code the first lines say what happened, not the last.
func lastLines(s string, n int) string {
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "goroutine ") || strings.HasPrefix(line, "runtime stack:") {
			break
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

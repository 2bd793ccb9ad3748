package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sample is what one run took: of several commands in a row, their sum.
type sample struct {
	wall, cpu time.Duration
	memory    int64
}

type samples []sample

func (s samples) sorted(by func(sample) time.Duration) []time.Duration {
	list := make([]time.Duration, len(s))
	for i, one := range s {
		list[i] = by(one)
	}
	slices.Sort(list)
	return list
}

func (s samples) best() time.Duration {
	return s.sorted(func(x sample) time.Duration { return x.wall })[0]
}
func (s samples) median() time.Duration {
	return s.sorted(func(x sample) time.Duration { return x.wall })[len(s)/2]
}

// cpu is the least: what others on the machine cost is not ours.
func (s samples) cpu() time.Duration {
	return s.sorted(func(x sample) time.Duration { return x.cpu })[0]
}

// memory is the most.
func (s samples) memory() int64 {
	m := int64(0)
	for _, x := range s {
		m = max(m, x.memory)
	}
	return m
}

// command is an argv and the exit codes that are an answer.
type command struct {
	argv []string
	dir  string
	ok   []int
}

// times runs the commands one after the other, n times, after one run that
// only warms the page cache. clean runs between, unmeasured.
func times(ctx context.Context, n int, clean func() error, commands ...command) (samples, error) {
	var all samples
	for i := range n + 1 {
		var sum sample
		for _, c := range commands {
			one, err := once(ctx, c)
			if err != nil {
				return nil, err
			}
			sum.wall += one.wall
			sum.cpu += one.cpu
			sum.memory = max(sum.memory, one.memory)
		}
		if i > 0 || n == 0 {
			all = append(all, sum)
		}
		if clean != nil {
			if err := clean(); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func once(ctx context.Context, c command) (sample, error) {
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir = c.dir
	// A file, not a pipe: nobody has to read beside the process that is measured.
	diag, err := os.CreateTemp("", "llcuda-bench-")
	if err != nil {
		return sample{}, err
	}
	defer diag.Close()
	defer os.Remove(diag.Name())
	cmd.Stderr = diag
	from := time.Now()
	err = cmd.Run()
	took := time.Since(from)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !slices.Contains(c.ok, exit.ExitCode())) {
		said, _ := os.ReadFile(diag.Name()) // the error itself is said anyway
		return sample{}, fmt.Errorf("%s: %w: %s", strings.Join(c.argv, " "), err, strings.TrimSpace(string(said)))
	}
	s := sample{wall: took, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.memory = u.Maxrss << 10
	}
	return s, nil
}

func seconds(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// load is the machine's over the last minute.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(data), " ")
	return first
}

func machine() string {
	model := "a CPU without a name"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%s · %d cores of %s · %s · page cache warm · best and median of wall time, least CPU, most memory",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), model, runtime.Version())
}

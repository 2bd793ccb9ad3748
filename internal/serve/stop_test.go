package serve

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheKillLadder(t *testing.T) {
	t.Parallel()
	t.Run("a stubborn server is killed after its grace", func(t *testing.T) {
		var log heard
		o := options(t, "stubborn")
		o.Grace, o.Log = 100*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
		s := start(t, o)
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "still there 100ms after") {
			t.Errorf("log: %s", log.String())
		}
	})
	t.Run("a second signal kills at once", func(t *testing.T) {
		var log heard
		o := options(t, "stubborn")
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		s := start(t, o)
		s.Signal(syscall.SIGTERM)
		s.Signal(syscall.SIGINT)
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "asked twice") {
			t.Errorf("log: %s", log.String())
		}
	})
	t.Run("an impatient Stop kills at once", func(t *testing.T) {
		s := start(t, options(t, "stubborn"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("other signals are passed on", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		o := options(t, "ok")
		o.Stderr = w
		s := start(t, o)
		defer w.Close()
		s.Signal(syscall.SIGHUP)
		for lines := bufio.NewScanner(r); ; {
			if !lines.Scan() {
				t.Fatal("the signal did not arrive")
			}
			if strings.Contains(lines.Text(), "signal hangup") {
				break
			}
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTheWholeGroupEnds(t *testing.T) {
	t.Parallel()
	s := start(t, options(t, "orphan"))
	var child int
	for _, l := range s.Tail() {
		if _, pid, ok := strings.Cut(l, " I child "); ok {
			child, _ = strconv.Atoi(pid)
		}
	}
	if child == 0 {
		t.Fatalf("no child in %q", s.Tail())
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, child)
}

func TestTheServerDiesWithItsParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = []string{starterDir + "=" + bundle(t), fakeMode + "=ok"}
	parent.Dir = t.TempDir()
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, aerr := strconv.Atoi(strings.TrimSpace(line))
	if kerr := parent.Process.Kill(); err != nil || aerr != nil || kerr != nil {
		t.Fatal(line, err, aerr, kerr)
	}
	if err := parent.Wait(); err == nil {
		t.Error("the parent was not killed")
	}
	gone(t, pid)
}

// The kernel sends the parent-death signal when the thread that made the child
// ends: a server must outlive the thread of whoever called Start.
func TestTheServerOutlivesTheThreadThatStartedIt(t *testing.T) {
	t.Parallel()
	o := options(t, "ok")
	result := make(chan *Server, 1)
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		s, err := Start(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		result <- s
	}()
	s := <-result
	if s == nil {
		t.FailNow()
	}
	for range 20 {
		runtime.GC()
		if _, err := Complete(t.Context(), s.URL(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// No goroutine and no child is left by anything above: this runs a whole life
// several times and compares.
func TestNothingLeaks(t *testing.T) {
	life := func() {
		for _, mode := range []string{"ok", "die", "stubborn"} {
			o := options(t, mode)
			o.Grace = 20 * time.Millisecond
			s, err := Start(t.Context(), o)
			if mode == "die" {
				if err == nil {
					t.Fatal("it did not die")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	life()
	before := settle(0)
	for range 3 {
		life()
	}
	if after := settle(before); after > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	threads, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(threads) == 0 {
		t.Fatalf("no list of children (%v)", err)
	}
	for _, thread := range threads {
		// A thread may end meanwhile.
		if children, err := os.ReadFile(thread); err == nil && len(bytes.TrimSpace(children)) > 0 {
			t.Errorf("children are left: %s", children)
		}
	}
}

// settle waits until there are no more than want goroutines, or their number
// does not fall any more.
func settle(want int) int {
	n := runtime.NumGoroutine()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		if want > 0 && n <= want {
			break
		}
		<-tick.C
		now := runtime.NumGoroutine()
		if want == 0 && now >= n {
			break
		}
		n = now
	}
	return n
}

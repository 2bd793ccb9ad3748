package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func childCommand(t *testing.T, in childInput) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
	return cmd
}

// Half of the kills come when the server has sent a random number of bytes,
// half at a random time, so that start, rename and end are hit as well.
func TestKilledAtRandomMomentsThenResumed(t *testing.T) {
	random := rand.New(rand.NewPCG(20261123, 1))
	data := randomBytes(900_000)
	s := serve(t, data)
	// plan is what the server does for one child: stop after limit bytes and
	// say so, or (limit < 0) serve.
	type plan struct {
		limit   int
		reached chan struct{}
	}
	var current atomic.Pointer[plan]
	s.mu.Lock()
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		p := current.Load()
		if p.limit < 0 {
			return false
		}
		s.sendPart(w, r, p.limit)
		close(p.reached)
		<-r.Context().Done()
		return true
	}
	s.mu.Unlock()
	dir := t.TempDir()
	in := childInput{URL: s.URL, Dest: filepath.Join(dir, "part"), SHA256: hexSum(data), Size: int64(len(data))}
	const kills = 30
	left := 0
	for i := range kills {
		if i%5 == 0 { // a fresh start now and then, else on top of what the last left
			os.Remove(in.Dest)
			os.Remove(in.Dest + Unverified)
		}
		from := 0
		if info, err := os.Stat(in.Dest + Unverified); err == nil {
			from = int(info.Size())
		}
		_, err := os.Stat(in.Dest)
		bySize := i%2 == 0 && from < len(data) && err != nil
		p := &plan{limit: -1, reached: make(chan struct{})}
		if bySize {
			p.limit = from + random.IntN(len(data)-from)
		}
		current.Store(p)
		cmd := childCommand(t, in)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if bySize {
			select {
			case <-p.reached:
			case <-time.After(20 * time.Second):
				t.Fatalf("kill %d: the child asked for nothing", i)
			}
			if i%4 == 0 { // every other one dies with what was sent on disk
				awaitSize(t, in.Dest+Unverified, from, p.limit)
			}
		} else {
			time.Sleep(time.Duration(random.IntN(30_000)) * time.Microsecond) // the random moment
		}
		cmd.Process.Kill()
		cmd.Wait()
		if got, err := os.ReadFile(in.Dest); err == nil && !bytes.Equal(got, data) {
			t.Fatalf("kill %d left a wrong file under the final name", i)
		}
		if info, err := os.Stat(in.Dest + Unverified); err == nil && info.Size() > 0 {
			left++
		}
	}
	if left == 0 {
		t.Error("no kill left a partial file: the test does not test")
	}
	current.Store(&plan{limit: -1})
	cmd := childCommand(t, in)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantDone(t, in.Dest, data)
}

func TestKilledWithSeveralConnectionsLeavesOnePiece(t *testing.T) {
	random := rand.New(rand.NewPCG(20261126, 1))
	data := randomBytes(900_000)
	s := serve(t, data)
	var cut atomic.Int64 // no request is answered from there on
	s.mu.Lock()
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if int64(offsetOf(r)) < cut.Load() {
			return false
		}
		<-r.Context().Done()
		return true
	}
	s.mu.Unlock()
	in := childInput{URL: s.URL, Dest: filepath.Join(t.TempDir(), "part"), SHA256: hexSum(data), Size: int64(len(data)), Split: true}
	left := 0
	for i := range 8 {
		cut.Store(int64(100_000 * (i + 1)))
		cmd := childCommand(t, in)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			awaitSize(t, in.Dest+Unverified, left, int(cut.Load()))
		}
		time.Sleep(time.Duration(random.IntN(5_000)) * time.Microsecond) // the random moment
		cmd.Process.Kill()
		cmd.Wait()
		got, err := os.ReadFile(in.Dest + Unverified)
		if err != nil && !errors.Is(err, os.ErrNotExist) || !bytes.HasPrefix(data, got) {
			t.Fatalf("kill %d left %d bytes that are not the file's first, %v", i, len(got), err)
		}
		left = len(got)
	}
	if left == 0 {
		t.Error("no kill left a partial file: the test does not test")
	}
	cut.Store(int64(len(data)) + 1)
	if out, err := childCommand(t, in).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantDone(t, in.Dest, data)
}

func TestAWriteErrorNamesTheFileAndKeepsWhatFits(t *testing.T) {
	data := randomBytes(300_000)
	s := serve(t, data)
	in := childInput{URL: s.URL, Dest: filepath.Join(t.TempDir(), "part"), SHA256: hexSum(data), Size: int64(len(data)), FileLimit: 100_000}
	out, err := childCommand(t, in).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "part.unverified: file too large") || !strings.Contains(string(out), "hint: the file is larger") {
		t.Errorf("said: %s", out)
	}
	if info, err := os.Stat(in.Dest + Unverified); err != nil || info.Size() != 100_000 {
		t.Fatalf("kept %v, %v", info, err)
	}
	in.FileLimit = 0
	if out, err := childCommand(t, in).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantDone(t, in.Dest, data)
	if got := s.ranges[len(s.ranges)-1]; got != "bytes=100000-" {
		t.Errorf("asked for %q", got)
	}
}

// awaitSize returns when the file at path has grown beyond from, which it will
// if more than that was sent.
func awaitSize(t *testing.T, path string, from, sent int) {
	t.Helper()
	if sent <= from {
		return
	}
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > int64(from) {
			return
		}
	}
	t.Fatalf("%d bytes were sent, and the child wrote none beyond %d", sent, from)
}

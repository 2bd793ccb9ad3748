package flush

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAFlushBeginsAtEachStep(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := New(f, 100)
	reach := func(n, want int64) {
		t.Helper()
		if g.Reached(n); g.begun != want {
			t.Errorf("at %d flushing has begun for %d bytes, want %d", n, g.begun, want)
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
	reach(99, 0)
	reach(100, 100)
	reach(199, 100)
	reach(350, 350)
	reach(20, 20) // emptied
	reach(119, 20)
	reach(120, 120)
	g.busy.Store(true) // the disk is slower than who writes
	reach(500, 120)
	g.busy.Store(false)
	reach(501, 501)
	f.Close()
	reach(700, 700)
}

func TestAFailedFlushIsToldAtTheEnd(t *testing.T) {
	r, w, err := os.Pipe() // cannot be flushed
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	g := New(w, 1)
	for n := range int64(3) {
		g.Reached(n)
		if err := g.Wait(); (err != nil) != (n > 0) || err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

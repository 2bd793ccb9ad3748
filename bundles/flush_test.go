package bundles

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
)

// unflushable is a file that cannot be flushed: a pipe.
func unflushable(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return w
}

func TestEveryFailedFlushIsTold(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, flush := range map[string]struct {
		do   func(*syncer)
		want error
	}{
		"of a whole file":      {func(s *syncer) { s.last(unflushable(t)) }, syscall.EINVAL},
		"of one that grows":    {func(s *syncer) { s.begin(unflushable(t), new(atomic.Bool)) }, syscall.EINVAL},
		"of no folder":         {func(s *syncer) { s.folder(root, "none") }, syscall.ENOENT},
		"of a folder":          {func(s *syncer) { s.folder(root, ".") }, nil},
		"of nothing at all":    {func(*syncer) {}, nil},
		"of one that was last": {func(s *syncer) { flushedTwice(t, s, root) }, nil},
	} {
		s := newSyncer()
		flush.do(s)
		if err := s.wait(); !errors.Is(err, flush.want) || (err == nil) != (flush.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, flush.want)
		}
	}
}

// flushedTwice begins to flush a file that was flushed and closed meanwhile.
func flushedTwice(t *testing.T, s *syncer, root *os.Root) {
	t.Helper()
	f, err := root.Create("file")
	if err != nil {
		t.Fatal(err)
	}
	s.last(f)
	s.running.Wait()
	s.begin(f, new(atomic.Bool))
}

func TestALargeFileIsFlushedWhileItGrows(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newSyncer()
	w := &early{f: f, sync: s}
	piece := make([]byte, earlyStep/2)
	for i, want := range []int64{0, earlyStep, earlyStep, 2 * earlyStep} {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
		if w.begun != want {
			t.Errorf("after %d pieces flushing has begun for %d bytes, want %d", i+1, w.begun, want)
		}
		s.running.Wait()
	}
	w.busy.Store(true) // the disk is slower than who writes
	for range 4 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if w.begun != 2*earlyStep {
		t.Errorf("a second flush was begun beside one that runs, for %d bytes", w.begun)
	}
	if err := s.wait(); err != nil {
		t.Error(err)
	}
}

package bundles

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/waqasm86/llcuda/internal/flush"
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
	for name, c := range map[string]struct {
		do   func(*syncer)
		want error
	}{
		"of a whole file":   {func(s *syncer) { s.last(unflushable(t), nil) }, syscall.EINVAL},
		"of one that grew":  {func(s *syncer) { s.last(grown(t), begunInVain(t)) }, syscall.EINVAL},
		"of no folder":      {func(s *syncer) { s.folder(root, "none") }, syscall.ENOENT},
		"of a folder":       {func(s *syncer) { s.folder(root, ".") }, nil},
		"of nothing at all": {func(*syncer) {}, nil},
	} {
		s := newSyncer()
		c.do(s)
		if err := s.wait(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func grown(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// begunInVain is a file whose first bytes could not be flushed.
func begunInVain(t *testing.T) *flush.Growing {
	t.Helper()
	g := flush.New(unflushable(t), 1)
	g.Reached(1)
	return g
}

package bundles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/waqasm86/llcuda/internal/flush"
)

// Unpack writes an archive into dir, which must be empty or not exist (its
// parent must), and returns the digest of what it wrote, computed while it was
// written: the caller compares it with Part.Contents before it uses anything.
//
// Nothing is believed of the archive. All writing goes through one os.Root, so
// no name leads out of dir. Refused with a *HostileError: absolute names,
// "..", control characters, names that are too long or appear twice, a file in
// place of a folder, entries in folders that were not declared, links to
// anything but a file in the same folder, hard links, devices, pipes, sparse
// files, unknown types and formats, modes other than 0755 and 0644, more
// entries or bytes or a larger window than the options allow, and anything
// after the end. Links are made last, so nothing is ever written through one.
//
// Frames as Pack makes them are decompressed side by side, one on each processor
// and three at most, while they come and while what came before is hashed and
// written. The memory for that is MemoryToRead; an archive made by another program
// is read with its own window. Where MaxBytes is given, room for a large file is
// taken on the disk before its first byte.
//
// Where it fails, dir holds what had been written: it is the caller's staging
// folder, and the caller's to remove.
func Unpack(ctx context.Context, r io.Reader, dir string, o UnpackOptions) (contents string, err error) {
	_, contents, err = UnpackTree(ctx, r, dir, o)
	return contents, err
}

// UnpackTree is Unpack that also tells what it wrote, sorted by path, each file
// with the hash of the bytes that were handed to the disk.
func UnpackTree(ctx context.Context, r io.Reader, dir string, o UnpackOptions) (entries []Entry, contents string, err error) {
	root, err := emptyRoot(dir)
	if err != nil {
		return nil, "", fmt.Errorf("unpacking %s: %w", o.Name, err)
	}
	defer root.Close()
	u := unpacker{root: root, reserve: o.MaxBytes > 0}
	if o.Sync {
		u.sync = newSyncer()
	}
	t, err := walk(ctx, r, o, u.entry)
	if err == nil {
		if ferr := u.finish(t); ferr != nil {
			err = fmt.Errorf("unpacking %s: %w", o.Name, ferr)
		}
	}
	if serr := u.sync.wait(); serr != nil && err == nil {
		err = fmt.Errorf("unpacking %s: %w", o.Name, serr)
	}
	if err != nil {
		return nil, "", err
	}
	entries = slices.Clone(t.entries)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries, t.digest(), nil
}

func emptyRoot(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); !errors.Is(err, io.EOF) {
		root.Close()
		if err == nil {
			err = fmt.Errorf("%q is not empty", dir)
		}
		return nil, err
	}
	return root, nil
}

type unpacker struct {
	root *os.Root
	sync *syncer // nil where nothing is flushed
	// reserve has room on the disk taken for a whole file before its first byte,
	// where the caller knew how much there may be.
	reserve bool
}

// syncer flushes files and folders to the disk while the next ones are unpacked,
// several at once: what they wait for, a commit of the file system's journal and the
// disk emptying its own cache, they wait for together.
type syncer struct {
	running sync.WaitGroup
	slots   chan struct{}
	mu      sync.Mutex
	failed  error
}

// maxFlushed is how many files are flushed at once, and so are open.
const maxFlushed = 16

func newSyncer() *syncer { return &syncer{slots: make(chan struct{}, maxFlushed)} }

// last flushes a file that nobody writes to any more, and closes it; early has
// flushed some of it, or is nil.
func (s *syncer) last(f *os.File, early *flush.Growing) {
	s.slots <- struct{}{}
	s.running.Go(func() {
		defer func() { <-s.slots }()
		s.note(errors.Join(f.Sync(), early.Wait(), f.Close()))
	})
}

// folder flushes the names in a folder. Some file systems cannot and say EINVAL.
func (s *syncer) folder(root *os.Root, name string) {
	s.slots <- struct{}{}
	s.running.Go(func() {
		defer func() { <-s.slots }()
		f, err := root.Open(name)
		if err != nil {
			s.note(err)
			return
		}
		if err = f.Sync(); errors.Is(err, syscall.EINVAL) {
			err = nil
		}
		s.note(errors.Join(err, f.Close()))
	})
}

func (s *syncer) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

// wait returns when all that it was given is on the disk; the error says what is
// not. A nil one has nothing to wait for.
func (s *syncer) wait() error {
	if s == nil {
		return nil
	}
	s.running.Wait()
	return s.failed
}

func (u *unpacker) entry(e Entry, r io.Reader) error {
	switch e.Type {
	case TypeDir:
		if err := u.root.Mkdir(e.Path, 0o755); err != nil {
			return err
		}
		return u.root.Chmod(e.Path, 0o755) // whatever the umask says
	case TypeFile:
		return u.file(e, r)
	}
	return nil
}

func (u *unpacker) file(e Entry, r io.Reader) (err error) {
	f, err := u.root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	var early *flush.Growing
	defer func() {
		if err != nil || u.sync == nil {
			err = errors.Join(err, f.Close())
			return
		}
		u.sync.last(f, early)
	}()
	if u.reserve && e.Size >= worthReserving {
		reserve(f, e.Size)
	}
	w := io.Writer(struct{ io.Writer }{f})
	if u.sync != nil && e.Size > flushStep {
		early = flush.New(f, flushStep)
		w = &flushed{f: f, flush: early}
	}
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("writing %q: %w", e.Path, err)
	}
	return f.Chmod(e.Mode)
}

// worthReserving is the smallest file that room is taken for before it is written.
const worthReserving = 1 << 20

// flushStep is how much of a large file is flushed at once while it is written.
const flushStep = 8 << 20

// flushed writes a file that is flushed meanwhile.
type flushed struct {
	f     *os.File
	n     int64
	flush *flush.Growing
}

func (w *flushed) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.n += int64(n)
	w.flush.Reached(w.n)
	return n, err
}

// finish makes the links and, where asked, has the folders flushed.
func (u *unpacker) finish(t *tree) error {
	for _, e := range t.entries {
		if e.Type != TypeLink {
			continue
		}
		if err := u.root.Symlink(e.Target, e.Path); err != nil {
			return err
		}
	}
	if u.sync == nil {
		return nil
	}
	u.sync.folder(u.root, ".")
	for _, e := range t.entries {
		if e.Type == TypeDir {
			u.sync.folder(u.root, e.Path)
		}
	}
	return nil
}

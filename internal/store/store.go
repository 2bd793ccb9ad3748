package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/internal/fetch"
	"github.com/waqasm86/llcuda/internal/flock"
)

// Names in a store's root.
const (
	markerName   = "store.json"
	lockName     = "lock"
	partsDir     = "parts"
	bundlesDir   = "bundles"
	downloadsDir = "downloads"
	stagingDir   = "staging"
	sourcesDir   = "sources"
)

// folders are those that a store makes.
var folders = [...]string{partsDir, bundlesDir, downloadsDir, stagingDir, sourcesDir}

// layout is the version of everything in doc.go.
const layout = 1

// Store is a folder of installed bundles. It holds nothing open; its methods
// may be called from several goroutines and processes at once.
type Store struct {
	dir string
	// step is called between the steps of an install, for tests that end the
	// process there.
	step func(name string)
	// link makes a hard link; a test may replace it by one that cannot.
	link func(root *os.Root, from, to string) error
}

// DefaultDir is where a user's store is: $LLCUDA_HOME, else
// $XDG_DATA_HOME/llcuda, else ~/.local/share/llcuda. A relative XDG_DATA_HOME
// is ignored, as its specification asks.
func DefaultDir(env map[string]string) (string, error) {
	if dir := env["LLCUDA_HOME"]; dir != "" {
		return dir, nil
	}
	if dir := env["XDG_DATA_HOME"]; filepath.IsAbs(dir) {
		return filepath.Join(dir, "llcuda"), nil
	}
	if home := env["HOME"]; filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "llcuda"), nil
	}
	return "", &NoHomeError{}
}

// Open names the store in dir. The folder is made by the first install; one
// that is there and of a newer layout is refused.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, &NoHomeError{}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store %s: %w", dir, err)
	}
	s := &Store{dir: dir, step: func(string) {}, link: (*os.Root).Link}
	root, err := s.root()
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	root.Close()
	return s, nil
}

// Dir is the store's root, absolute.
func (s *Store) Dir() string { return s.dir }

// path is the absolute path of a name in the store.
func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// root opens the store for reading. The error is fs.ErrNotExist where there is
// no store yet.
func (s *Store) root() (*os.Root, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, &fetch.FileError{Op: "opening the store", Path: s.dir, Err: err}
	}
	if err := s.checkMarker(root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

type marker struct {
	Layout int `json:"layout"`
}

func (s *Store) checkMarker(root *os.Root) error {
	raw, err := root.ReadFile(markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return &fetch.FileError{Op: "opening", Path: s.path(markerName), Err: err}
	}
	if err != nil {
		return &fetch.FileError{Op: "reading", Path: s.path(markerName), Err: err}
	}
	var m marker
	if err := json.Unmarshal(raw, &m); err != nil || m.Layout < 1 {
		return &StoreError{Dir: s.dir, Reason: "its " + markerName + " cannot be read",
			Cure: "if it is a store, remove it and install again; else set LLCUDA_HOME to another folder"}
	}
	if m.Layout > layout {
		return &StoreError{Dir: s.dir, Reason: fmt.Sprintf("it has layout %d, this program knows up to %d", m.Layout, layout),
			Cure: "update llcuda-run, or set LLCUDA_HOME to another folder"}
	}
	return nil
}

// session is the right to write: the open root and the lock.
type session struct {
	*Store
	root *os.Root
	lock *os.File
}

// begin takes the store's lock, and removes what a killed process left in staging.
func (s *Store) begin(ctx context.Context, waiting func(pid int)) (*session, error) {
	w, err := s.locked(ctx, waiting)
	if err != nil {
		return nil, err
	}
	if err := w.clear(stagingDir); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// locked makes the store if there is none, and waits for its lock. waiting is told
// once who holds it (0 = unknown) if there is a wait.
func (s *Store) locked(ctx context.Context, waiting func(pid int)) (*session, error) {
	root, err := s.make()
	if err != nil {
		return nil, err
	}
	lock, err := s.takeLock(ctx, root, waiting)
	if err != nil {
		root.Close()
		return nil, err
	}
	w := &session{Store: s, root: root, lock: lock}
	// Again: RemoveAll may have had the lock.
	if err := s.prepare(root); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// make opens the store for writing, and makes it first if there is none.
func (s *Store) make() (*os.Root, error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, &fetch.FileError{Op: "making the store", Path: s.dir, Err: err}
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, &fetch.FileError{Op: "opening the store", Path: s.dir, Err: err}
	}
	if err := s.prepare(root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// takeLock opens the lock file and waits for it. RemoveAll removes that file,
// so a lock won on a file without a name is no lock.
func (s *Store) takeLock(ctx context.Context, root *os.Root, waiting func(pid int)) (*os.File, error) {
	for {
		f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, &fetch.FileError{Op: "opening", Path: s.path(lockName), Err: err}
		}
		err = flock.Lock(ctx, f, func() {
			if waiting != nil {
				waiting(holder(f))
				waiting = nil
			}
		})
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("waiting for the store %s: %w", s.dir, err)
		}
		mine, err := f.Stat()
		named, err2 := root.Lstat(lockName)
		if err == nil && err2 == nil && os.SameFile(mine, named) {
			// For messages only; a failure to write it costs a number there.
			_ = f.Truncate(0)
			_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
			return f, nil
		}
		f.Close()
		if err2 != nil && !errors.Is(err2, fs.ErrNotExist) {
			return nil, &fetch.FileError{Op: "reading", Path: s.path(lockName), Err: err2}
		}
	}
}

func holder(f *os.File) int {
	b := make([]byte, 20)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// prepare makes a folder a store unless it is one. It needs no lock: the
// marker comes before the folders, so folders of these names seen before no
// marker is found are somebody else's.
func (s *Store) prepare(root *os.Root) error {
	foreign := ""
	for _, name := range folders {
		if _, err := root.Lstat(name); err == nil {
			foreign = name
		}
	}
	err := s.checkMarker(root)
	if errors.Is(err, fs.ErrNotExist) {
		if foreign != "" {
			return &StoreError{Dir: s.dir, Reason: fmt.Sprintf("it holds %q, but no store made it", foreign),
				Cure: "set LLCUDA_HOME to an empty folder"}
		}
		err = s.writeJSON(root, markerName, "."+rand.Text(), marker{layout})
	}
	if err != nil {
		return err
	}
	for _, name := range folders {
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return s.fileError("making", name, err)
		}
	}
	return nil
}

// clear removes everything in a folder of the store.
func (w *session) clear(dir string) error {
	list, err := readDir(w.root, dir)
	if err != nil {
		return w.fileError("reading", dir, err)
	}
	for _, e := range list {
		if err := w.root.RemoveAll(dir + "/" + e.Name()); err != nil {
			return w.fileError("removing", dir+"/"+e.Name(), err)
		}
	}
	return nil
}

func (w *session) end() {
	w.lock.Close()
	w.root.Close()
}

func (s *Store) fileError(op, name string, err error) error {
	return &fetch.FileError{Op: op, Path: s.path(name), Err: err}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/waqasm86/llcuda/internal/fetch/flock"
)

// workPrefix begins the name of every folder that a running build of a cell
// works in, beside the output, so that the last act is a rename.
const workPrefix = ".building-"

// workDir is such a folder. Its lock is flock on the folder itself, so the
// kernel drops it when the process dies, however it dies: a folder that nobody
// holds is a leftover.
type workDir struct {
	path string
	lock *os.File
}

// newWorkDir makes and locks a folder in out for one cell.
func newWorkDir(out, cell string) (*workDir, error) {
	for {
		path, err := os.MkdirTemp(out, workPrefix+cell+"-")
		if err != nil {
			return nil, fmt.Errorf("making a folder to build in: %w", err)
		}
		lock, err := lockFolder(path)
		switch {
		case err != nil:
			_ = os.Remove(path)
			return nil, fmt.Errorf("making a folder to build in: %w", err)
		case lock != nil:
			return &workDir{path, lock}, nil
		}
		// Another build's sweep came between making and locking.
	}
}

// close removes the folder, then its lock.
func (w *workDir) close() {
	_ = os.RemoveAll(w.path) // what stays is swept by the next build
	_ = w.lock.Close()
}

// sweepWorkDirs removes what killed builds left in out. The folders of running
// builds are locked and stay.
func sweepWorkDirs(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), workPrefix) {
			continue
		}
		path := filepath.Join(out, e.Name())
		lock, err := lockFolder(path)
		if err == nil && lock != nil {
			err = errors.Join(os.RemoveAll(path), lock.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("removing what a killed build left: %w", err))
		}
	}
	return errors.Join(errs...)
}

// lockFolder opens and locks a folder; nil where another has the lock, or has
// removed the folder meanwhile.
func lockFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ok, err := flock.TryLock(f)
	if ok && err == nil {
		var mine, named fs.FileInfo
		if mine, err = f.Stat(); err == nil {
			named, err = os.Lstat(path)
		}
		if err == nil && os.SameFile(mine, named) {
			return f, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	_ = f.Close()
	return nil, err
}

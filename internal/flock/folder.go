package flock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrBusy says that another process has the lock.
var ErrBusy = errors.New("another process has the lock")

// Folder opens the folder at path and takes its exclusive lock if nobody has
// it: a scratch folder that nobody holds was left by a process that died. The
// lock ends when the file is closed. The error is ErrBusy where another has the
// lock, and fs.ErrNotExist where the folder is gone, or is no longer the one
// that has the name: its last owner, or a Sweep, was faster.
func Folder(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	ok, err := TryLock(f)
	if err == nil && !ok {
		err = fmt.Errorf("locking %s: %w", path, ErrBusy)
	}
	if err == nil {
		err = named(f, path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// named is fs.ErrNotExist unless f is what has the name path.
func named(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	if err == nil && !os.SameFile(mine, now) {
		err = fs.ErrNotExist
	}
	return err
}

// Sweep removes the folders in parent whose names begin with prefix and that
// nobody holds, but for the one at path but. What cannot be removed stays, and
// is in the error.
func Sweep(parent, prefix, but string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) || path == but {
			continue
		}
		lock, err := Folder(path)
		switch {
		case errors.Is(err, ErrBusy), errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil:
			err = errors.Join(os.RemoveAll(path), lock.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("removing what a killed process left: %w", err))
		}
	}
	return errors.Join(errs...)
}

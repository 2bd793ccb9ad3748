package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const stagingPrefix = ".staging-"

// stage is a locked scratch folder beside what it will become. The kernel drops
// the lock when the process dies, so sweep can tell a dead fetch from a live one.
type stage struct {
	path string
	lock *os.File
}

func (s shelf) stage() (stage, error) {
	for {
		path, err := os.MkdirTemp(s.path, stagingPrefix)
		if err != nil {
			return stage{}, fmt.Errorf("source: %w", err)
		}
		lock, err := lockDir(path)
		if err == nil {
			return stage{path, lock}, nil
		}
		// A sweep of another process was between the two: it removes the folder.
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, fs.ErrNotExist) {
			return stage{}, fmt.Errorf("source: %w", err)
		}
	}
}

func (s stage) close() {
	_ = os.RemoveAll(s.path)
	_ = s.lock.Close()
}

// sweep removes what killed fetches left.
func (s shelf) sweep() {
	entries, _ := os.ReadDir(s.path)
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), stagingPrefix) {
			continue
		}
		path := filepath.Join(s.path, e.Name())
		if lock, err := lockDir(path); err == nil {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}

// lockDir locks a folder; fs.ErrNotExist where it lost its name meanwhile.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	mine, err := f.Stat()
	if err == nil {
		var now fs.FileInfo
		if now, err = os.Lstat(path); err == nil && !os.SameFile(mine, now) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

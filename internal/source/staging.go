package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/waqasm86/llcuda/internal/flock"
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
		lock, err := flock.Folder(path)
		if err == nil {
			return stage{path, lock}, nil
		}
		// A sweep of another process was between the two: it removes the folder.
		if !errors.Is(err, flock.ErrBusy) && !errors.Is(err, fs.ErrNotExist) {
			return stage{}, fmt.Errorf("source: %w", err)
		}
	}
}

func (s stage) close() {
	_ = os.RemoveAll(s.path)
	_ = s.lock.Close()
}

// sweep removes what killed fetches left.
func (s shelf) sweep() { _ = flock.Sweep(s.path, stagingPrefix, "") }

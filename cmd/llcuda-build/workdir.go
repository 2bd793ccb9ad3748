package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/waqasm86/llcuda/internal/flock"
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
		lock, err := flock.Folder(path)
		switch {
		case err == nil:
			return &workDir{path, lock}, nil
		case !errors.Is(err, flock.ErrBusy) && !errors.Is(err, fs.ErrNotExist):
			_ = os.Remove(path)
			return nil, fmt.Errorf("making a folder to build in: %w", err)
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
func sweepWorkDirs(out string) error { return flock.Sweep(out, workPrefix, "") }

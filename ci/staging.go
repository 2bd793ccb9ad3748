package ci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/waqasm86/llcuda/internal/flock"
	"github.com/waqasm86/llcuda/matrix"
)

// stagingPrefix begins the name of every folder a build works in. It lies beside
// the folder that is made, so that the last act is a rename within one file
// system.
const stagingPrefix = ".llcuda-staging-"

// HostDirs are the folders that a host build of outDir works in: scratch and
// unfinished output lie in a staging folder beside outDir, which Build makes,
// locks and removes. All paths must be absolute.
func HostDirs(source, outDir, cache string) matrix.Dirs {
	s := stagingPath(outDir)
	return matrix.Dirs{Source: source, Build: filepath.Join(s, "build"), Out: filepath.Join(s, "out"), Cache: cache}
}

func stagingPath(outDir string) string {
	dir, base := filepath.Split(filepath.Clean(outDir))
	return filepath.Join(dir, stagingPrefix+base)
}

// staging is the locked scratch folder of one build. The lock is flock on the
// folder itself: the kernel drops it when the process dies, however it dies.
type staging struct {
	path, outDir string
	lock         *os.File
}

// openStaging makes and locks the staging folder of outDir, empty, and removes
// what killed builds left beside it.
func openStaging(outDir string) (*staging, error) {
	outDir, err := filepath.Abs(outDir)
	if err != nil {
		return nil, err
	}
	if err := absent(outDir); err != nil {
		return nil, err
	}
	parent := filepath.Dir(outDir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	s := &staging{path: stagingPath(outDir), outDir: outDir}
	for {
		if err := os.Mkdir(s.path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("output folder: %w", err)
		}
		s.lock, err = flock.Folder(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its last owner removed it just now
		}
		if errors.Is(err, flock.ErrBusy) {
			return nil, &OutputError{Dir: outDir, Busy: true}
		}
		if err != nil {
			return nil, fmt.Errorf("output folder: %w", err)
		}
		break
	}
	if err := empty(s.path); err != nil {
		s.lock.Close()
		return nil, fmt.Errorf("removing what an earlier build left: %w", err)
	}
	_ = flock.Sweep(parent, stagingPrefix, s.path) // what stays is in nobody's way
	return s, nil
}

// absent is nil where nothing has the name dir.
func absent(dir string) error {
	switch _, err := os.Lstat(dir); {
	case err == nil:
		return &OutputError{Dir: dir}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("output folder: %w", err)
	}
}

// empty removes everything in dir.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// out is the folder that becomes outDir.
func (s *staging) out() string { return filepath.Join(s.path, "out") }

// finish gives the finished folder its name.
func (s *staging) finish(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading what was built: %w", err)
	}
	if len(entries) == 0 {
		return fmt.Errorf("the steps succeeded and left nothing in the output folder")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("finishing the output folder: %w", err)
	}
	// rename(2) would replace an empty folder that appeared meanwhile.
	if err := absent(s.outDir); err != nil {
		return err
	}
	if err := os.Rename(dir, s.outDir); err != nil {
		return fmt.Errorf("naming the finished folder: %w", err)
	}
	return nil
}

// close removes the staging folder and then its lock. What cannot be removed is
// left to the next build.
func (s *staging) close() {
	_ = os.RemoveAll(s.path)
	_ = s.lock.Close()
}

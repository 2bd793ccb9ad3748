package ci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
		s.lock, err = lockDir(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its last owner removed it just now
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
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
	sweep(parent, s.path)
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

// lockDir opens and locks a folder. fs.ErrNotExist says that what was locked is
// no longer what has the name.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	mine, err := f.Stat()
	if err == nil {
		var now fs.FileInfo
		if now, err = os.Lstat(path); err == nil && !os.SameFile(mine, now) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// empty removes everything in dir.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// sweep removes the staging folders in parent that nobody holds. What cannot be
// removed stays: it is in nobody's way.
func sweep(parent, but string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), stagingPrefix) || path == but {
			continue
		}
		if lock, err := lockDir(path); err == nil {
			_ = os.RemoveAll(path)
			lock.Close()
		}
	}
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

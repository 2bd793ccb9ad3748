package release

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/flock"
)

// Prefixes of what a publisher is still working on. A tag never begins with a
// dot, so a reader never meets them.
const (
	stagingPrefix = ".staging-"
	latestPrefix  = ".latest-"
)

// shelf is a folder of releases with its lock held: the lock is on the folder
// itself, leaves no file behind, and ends with the process.
type shelf struct {
	dir  string
	lock *os.File
}

// lockShelf waits for another publisher to finish, until ctx ends.
func lockShelf(ctx context.Context, dir string, log io.Writer) (*shelf, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = flock.Lock(ctx, f, func() { fmt.Fprintf(log, "waiting for another publisher in %s\n", dir) })
	switch {
	case err == nil:
		return &shelf{dir: dir, lock: f}, nil
	case ctx.Err() != nil:
		err = fmt.Errorf("waiting for another publisher in %q: %w", dir, ctx.Err())
	}
	f.Close()
	return nil, err
}

func (s *shelf) unlock() { s.lock.Close() }

// sync makes names in the folder survive a crash.
func (s *shelf) sync() error { return s.lock.Sync() }

// sweep removes what killed publishers left.
func (s *shelf) sweep() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), stagingPrefix) || strings.HasPrefix(f.Name(), latestPrefix) {
			if err := os.RemoveAll(filepath.Join(s.dir, f.Name())); err != nil {
				return fmt.Errorf("removing what an earlier run left: %w", err)
			}
		}
	}
	return nil
}

// releases reads all manifests, by tag. They are not verified: what counts
// here is only which numbers are taken.
func (s *shelf) releases() (map[string]bundles.Manifest, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	have := map[string]bundles.Manifest{}
	for _, f := range files {
		if !f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		path := filepath.Join(s.dir, f.Name(), bundles.ManifestName)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a folder of something else
		}
		if err != nil {
			return nil, err
		}
		var m bundles.Manifest
		if err := json.Unmarshal(data, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if m.Release != f.Name() {
			return nil, fmt.Errorf("%s: is of release %q", path, m.Release)
		}
		have[m.Release] = m
	}
	return have, nil
}

// stage writes the release beside its place and renames it there.
func stage(ctx context.Context, in PublishInput, s *shelf, m *bundles.Manifest, extra []file) (err error) {
	written, err := papers(in, m, extra)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, stagingPrefix+in.Tag+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for _, f := range append(partFiles(in.DistDir, m), extra...) {
		if err := copyFile(ctx, f.path, filepath.Join(dir, f.name), f.digest); err != nil {
			return err
		}
		fmt.Fprintf(in.Log, "copied %s\n", f.name)
	}
	for _, f := range written {
		if err := writeNew(filepath.Join(dir, f.name), f.data); err != nil {
			return err
		}
		fmt.Fprintf(in.Log, "wrote %s\n", f.name)
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	fmt.Fprintf(in.Log, "staged %s\n", in.Tag)
	if err := os.Rename(dir, filepath.Join(s.dir, in.Tag)); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	fmt.Fprintf(in.Log, "published %s with sequence %d\n", in.Tag, m.Sequence)
	return nil
}

// setLatest replaces the file "latest" in one step, unless it names a release
// with a higher sequence. have are the other releases.
func (s *shelf) setLatest(tag string, seq int64, have map[string]bundles.Manifest, log io.Writer) error {
	path := filepath.Join(s.dir, bundles.LatestName)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	named := strings.TrimSpace(string(data))
	if r, ok := have[named]; named == tag || ok && r.Sequence > seq {
		return nil
	}
	f, err := os.CreateTemp(s.dir, latestPrefix)
	if err != nil {
		return err
	}
	_, werr := f.WriteString(tag + "\n")
	if err := errors.Join(werr, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	fmt.Fprintf(log, "prepared %s\n", bundles.LatestName)
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	fmt.Fprintf(log, "latest is %s\n", tag)
	return s.sync()
}

// copyFile copies and hashes at once: dist/ may have changed since the check.
func copyFile(ctx context.Context, from, to, key string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	h := sha256.New()
	w := io.MultiWriter(dst, h)
	buf := make([]byte, 1<<20)
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var n int
		n, err = src.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			err = werr
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err := errors.Join(err, dst.Chmod(0o644), dst.Sync(), dst.Close()); err != nil {
		return fmt.Errorf("copying %s: %w", from, err)
	}
	if got := digest(h.Sum(nil)); got != key {
		return fmt.Errorf("file %s changed while it was published", from)
	}
	return nil
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, werr := f.Write(data)
	return errors.Join(werr, f.Chmod(0o644), f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

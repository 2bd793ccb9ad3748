package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/internal/flock"
	"github.com/waqasm86/llcuda/internal/flush"
)

// Unverified is the ending of a file whose bytes are not checked yet.
const Unverified = ".unverified"

// flushStep is how much of a file is flushed at once while it comes.
const flushStep = 32 << 20

// partial is the file under its unverified name, locked, with the hash of the
// bytes in it so far. The lock is on the file itself, so no lock file is left.
type partial struct {
	path string
	f    *os.File
	sum  hash.Hash
	n    int64
	// flush, where the file has to reach the disk, begins with that; else nil.
	flush *flush.Growing
	// grown, where it is set, is told n whenever bytes were appended.
	grown func(n int64)
}

// openPartial opens and locks the unverified file and hashes what an earlier
// run left in it. It returns nil, nil where Dest is already right, perhaps
// because the process that held the lock has just finished it.
func openPartial(ctx context.Context, o Options) (*partial, error) {
	path := o.Dest + Unverified
	for {
		ok, err := matches(ctx, o.Dest, o.Size, o.SHA256)
		if ok || err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(o.Dest), 0o755); err != nil {
			return nil, &FileError{Op: "making the folder of", Path: o.Dest, Err: err}
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
		if err != nil {
			return nil, &FileError{Op: "opening", Path: path, Err: err}
		}
		if err := flock.Lock(ctx, f, o.Waiting); err != nil {
			f.Close()
			return nil, fmt.Errorf("waiting for another download of %s: %w", o.Name, err)
		}
		// Whoever held the lock may have renamed or removed the file since we
		// opened it: then what we hold is not what the name means any more.
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, &FileError{Op: "reading", Path: path, Err: err}
		}
		named, err := os.Lstat(path)
		if err != nil || !os.SameFile(mine, named) {
			f.Close()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, &FileError{Op: "reading", Path: path, Err: err}
			}
			continue
		}
		if !mine.Mode().IsRegular() {
			f.Close()
			return nil, &FileError{Op: "opening", Path: path, Err: errors.New("not a regular file")}
		}
		p := &partial{path: path, f: f, sum: sha256.New()}
		if !o.NoSync {
			p.flush = flush.New(f, flushStep)
		}
		if err := p.resume(ctx, mine.Size(), o); err != nil {
			p.close()
			return nil, err
		}
		return p, nil
	}
}

// resume hashes the bytes that are there; more than the file may have are
// worth nothing.
func (p *partial) resume(ctx context.Context, size int64, o Options) error {
	if size > o.Size {
		return p.reset()
	}
	n, err := io.Copy(p.sum, reader{ctx, p.f})
	p.n = n
	if ctx.Err() != nil {
		return fmt.Errorf("checking %s: %w", p.path, context.Cause(ctx))
	}
	if err != nil || n > o.Size {
		// Unreadable or changed under our lock: start over.
		o.Log.Warn("partial file cannot be used", "file", p.path, "error", err)
		return p.reset()
	}
	if n > 0 {
		o.Log.Info("going on with a partial file", "file", p.path, "bytes", n)
	}
	return nil
}

// write appends b.
func (p *partial) write(b []byte) error {
	n, err := p.f.WriteAt(b, p.n)
	p.sum.Write(b[:n])
	p.n += int64(n)
	p.flush.Reached(p.n)
	if p.grown != nil {
		p.grown(p.n)
	}
	if err != nil {
		return &FileError{Op: "writing", Path: p.path, Err: err}
	}
	return nil
}

// check compares what is there with what was promised.
func (p *partial) check(o Options) error {
	if got := hex.EncodeToString(p.sum.Sum(nil)); got != o.SHA256 {
		return &MismatchError{Name: o.Name, Want: "sha256:" + o.SHA256, Got: "sha256:" + got}
	}
	return nil
}

// reset forgets all bytes.
func (p *partial) reset() error {
	p.n = 0
	p.sum.Reset()
	if err := p.f.Truncate(0); err != nil {
		return &FileError{Op: "emptying", Path: p.path, Err: err}
	}
	return nil
}

// commit gives the file its final name, durably if asked.
func (p *partial) commit(dest string, durably bool) error {
	if durably {
		if err := errors.Join(p.f.Sync(), p.flush.Wait()); err != nil {
			return &FileError{Op: "writing", Path: p.path, Err: err}
		}
	}
	if err := os.Rename(p.path, dest); err != nil {
		return &FileError{Op: "renaming", Path: p.path, Err: err}
	}
	if !durably {
		return nil
	}
	return syncDir(filepath.Dir(dest))
}

// remove deletes the file. What waits for the lock notices, see openPartial.
func (p *partial) remove() error {
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &FileError{Op: "removing", Path: p.path, Err: err}
	}
	return nil
}

// close drops the lock.
func (p *partial) close() { p.f.Close() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return &FileError{Op: "opening", Path: dir, Err: err}
	}
	defer d.Close()
	// Some file systems (FUSE, 9p) cannot sync a folder and say EINVAL; there
	// is nothing better to do there.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return &FileError{Op: "writing", Path: dir, Err: err}
	}
	return nil
}

// matches says whether path holds exactly size bytes with this hash. No file
// is an answer, not an error.
func matches(ctx context.Context, path string, size int64, want string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, &FileError{Op: "opening", Path: path, Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, &FileError{Op: "reading", Path: path, Err: err}
	}
	if !info.Mode().IsRegular() {
		return false, &FileError{Op: "reading", Path: path, Err: errors.New("not a regular file")}
	}
	if info.Size() != size {
		return false, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, reader{ctx, f}); err != nil {
		if ctx.Err() != nil {
			return false, fmt.Errorf("checking %s: %w", path, context.Cause(ctx))
		}
		return false, &FileError{Op: "reading", Path: path, Err: err}
	}
	return hex.EncodeToString(sum.Sum(nil)) == want, nil
}

// reader stops reading when ctx ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// seen is one file that was found right: it is the same file with the same
// bytes while these stay the same. A program that changes bytes and sets the
// time back is not what this guards against.
type seen struct {
	Size   int64  `json:"size"`
	MTime  int64  `json:"mtime_ns"`
	Inode  uint64 `json:"inode"`
	Device uint64 `json:"device"`
	SHA256 string `json:"sha256"`
}

// memory is the file of Options.Remember.
type memory struct {
	Schema int             `json:"schema"`
	Files  map[string]seen `json:"files"`
}

const memorySchema = 1

func look(path string) (seen, error) {
	st, err := os.Stat(path)
	if err != nil {
		return seen{}, err
	}
	s := seen{Size: st.Size(), MTime: st.ModTime().UnixNano()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		s.Inode, s.Device = sys.Ino, uint64(sys.Dev) //nolint:unconvert // not uint64 everywhere
	}
	return s, nil
}

// recall reads what was remembered; what cannot be read is forgotten.
func (c *Client) recall() memory {
	m := memory{Schema: memorySchema}
	if data, err := os.ReadFile(c.o.Remember); err != nil || json.Unmarshal(data, &m) != nil || m.Schema != memorySchema {
		m = memory{Schema: memorySchema}
	}
	if m.Files == nil {
		m.Files = map[string]seen{}
	}
	return m
}

// key is the name under which a file is remembered, however it was reached.
func key(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// remembered says whether a file was found to have this digest before, and has
// not changed since.
func (c *Client) remembered(path, sum string) bool {
	if c.o.Remember == "" || sum == "" {
		return false
	}
	now, err := look(path)
	if err != nil {
		return false
	}
	now.SHA256 = sum
	return c.recall().Files[key(path)] == now
}

// remember notes that a file has this digest. That two runners may lose each
// other's note costs one more reading of a file; a note that cannot be written
// costs the same.
func (c *Client) remember(path, sum string) {
	if c.o.Remember == "" {
		return
	}
	now, err := look(path)
	if err != nil {
		return
	}
	now.SHA256 = sum
	m := c.recall()
	for name := range m.Files {
		if _, err := os.Lstat(name); err != nil {
			delete(m.Files, name)
		}
	}
	m.Files[key(path)] = now
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = write(c.o.Remember, append(data, '\n'))
	}
	if err != nil {
		c.o.Log.Warn("cannot remember that a file was verified", "file", path, "error", err)
	}
}

// Verify holds a cached file against its digest: f.SHA256, or want where the
// caller knows better. It reads the file once; after that its size, time and
// inode will do. The error is a *WrongBytesError.
func (c *Client) Verify(ctx context.Context, f Cached, want string, progress func(done, total int64)) error {
	if want == "" {
		want = f.SHA256
	}
	if want == "" {
		return fmt.Errorf("nothing says what %s should be", f.Link)
	}
	if c.remembered(f.Real, want) {
		return nil
	}
	got, err := hashFile(ctx, f.Real, progress)
	if err != nil {
		return err
	}
	if got != want {
		return &WrongBytesError{Name: f.Name(), Want: "sha256:" + want, Got: "sha256:" + got, Path: f.Link}
	}
	c.remember(f.Real, want)
	return nil
}

// hashFile reads a whole file.
func hashFile(ctx context.Context, path string, progress func(done, total int64)) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("checking %s: %w", filepath.Base(path), err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("checking %s: %w", filepath.Base(path), err)
	}
	sum, buf, done := sha256.New(), make([]byte, 1<<20), int64(0)
	for {
		if ctx.Err() != nil {
			return "", fmt.Errorf("checking %s: %w", filepath.Base(path), context.Cause(ctx))
		}
		n, err := file.Read(buf)
		sum.Write(buf[:n])
		done += int64(n)
		if progress != nil {
			progress(done, st.Size())
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
	}
}

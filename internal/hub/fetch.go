package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/waqasm86/llcuda/internal/fetch"
	"github.com/waqasm86/llcuda/internal/flock"
)

// FetchOptions of Fetch and Space.
type FetchOptions struct {
	// Progress is told the bytes on disk and the size, often; nil = nobody.
	Progress func(done, total int64)
	// Retrying is told why an attempt failed and how long the pause is.
	Retrying func(err error, pause time.Duration)
	// Waiting is called once if another process is downloading the same file.
	Waiting func()
	// FreeSpace tells the bytes that may still be written below dir; nil = ask
	// the file system.
	FreeSpace func(dir string) (uint64, error)
}

// Fetch makes sure that the cache holds f and returns its path in the snapshot.
// f comes from Stat or from a caller that knows its commit, size and digest. A
// blob that is there and right is not downloaded; one that is damaged is replaced.
func (c *Client) Fetch(ctx context.Context, f File, o FetchOptions) (string, error) {
	if err := CheckRepo(f.Repo); err != nil || !isInside(f.Path) || !IsCommit(f.Commit) || !isHex(f.SHA256, 64) {
		return "", fmt.Errorf("%s cannot be kept in a cache", f.Name())
	}
	blob := c.blob(f)
	if there, ok := c.at(f); ok && there.Real == key(there.Link) && there.SHA256 == "" {
		// No link but the file itself, on a file system without links.
		if c.Verify(ctx, there, f.SHA256, o.Progress) == nil {
			return there.Link, nil
		}
	}
	if !c.remembered(blob, f.SHA256) {
		if err := c.download(ctx, f, blob, o); err != nil {
			return "", err
		}
		c.remember(blob, f.SHA256)
	}
	link, err := c.place(f)
	if err != nil {
		return "", c.filed(&fetch.FileError{Op: "linking", Path: c.snapshot(f), Err: err})
	}
	return link, nil
}

func (c *Client) download(ctx context.Context, f File, blob string, o FetchOptions) error {
	if c.o.Offline {
		// Whole but not remembered, as Python leaves it: that will do.
		if got, err := hashFile(ctx, blob, o.Progress); err == nil && got == f.SHA256 {
			return nil
		}
		return &OfflineError{Subject: f.Name()}
	}
	unlock, err := c.lock(ctx, f, o.Waiting)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = fetch.File(ctx, fetch.Options{
		Open: fetch.HTTP(c.http, func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, c.o.Endpoint+resolvePath(f.Repo, f.Commit, f.Path), nil)
		}),
		Dest: blob, Name: filepath.Base(f.Path), Size: f.Size, SHA256: f.SHA256, Backoff: c.o.Backoff,
		Progress: o.Progress, Retrying: o.Retrying, Waiting: o.Waiting, Log: c.o.Log, FreeSpace: o.FreeSpace,
	})
	return c.filed(err)
}

// lock takes huggingface_hub's lock on a blob, so that Python and we do not
// download one file at once. It is a courtesy: where the lock file cannot be
// made the download goes on, for both write under names of their own.
func (c *Client) lock(ctx context.Context, f File, waiting func()) (func(), error) {
	path := filepath.Join(c.o.CacheDir, locksDir, folder(f.Repo), f.SHA256+".lock")
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return func() {}, nil
		}
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o664)
		if err != nil {
			return func() {}, nil
		}
		if err := flock.Lock(ctx, file, waiting); err != nil {
			file.Close()
			if ctx.Err() != nil {
				return nil, fmt.Errorf("waiting for another download of %s: %w", f.Name(), err)
			}
			return func() {}, nil // a file system without flock
		}
		// Some versions of Python's filelock remove the file as they let go.
		mine, err1 := file.Stat()
		named, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return func() { file.Close() }, nil
		}
		file.Close()
	}
}

// Space says whether the cache has room for what is missing of files.
func (c *Client) Space(files []File, o FetchOptions) error {
	var need int64
	for _, f := range files {
		have := int64(0)
		for _, name := range []string{c.blob(f), c.blob(f) + fetch.Unverified} {
			if st, err := os.Stat(name); err == nil {
				have = max(have, st.Size())
			}
		}
		need += max(0, f.Size-have)
	}
	if need == 0 {
		return nil
	}
	return c.filed(fetch.CheckSpace(o.FreeSpace, c.o.CacheDir, need, files[0].Name()))
}

// filed gives fetch's errors the cures that fit the hub's cache.
func (c *Client) filed(err error) error {
	var wrong *fetch.MismatchError
	var space *fetch.SpaceError
	var file *fetch.FileError
	var cut *fetch.UnfinishedError
	elsewhere := fmt.Sprintf("set HF_HOME to a folder elsewhere (the cache is %s)", c.o.CacheDir)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return &WrongBytesError{Name: wrong.Name, Want: wrong.Want, Got: wrong.Got}
	case errors.As(err, &space):
		return &DownloadError{err, "free some space, or " + elsewhere}
	case errors.As(err, &file):
		return &DownloadError{err, fmt.Sprintf("make room in %s and make it writable for you, or %s; what was downloaded is kept", filepath.Dir(file.Path), elsewhere)}
	case errors.As(err, &cut):
		cure := "run the same command again: it goes on where it stopped"
		if cut.Done == 0 {
			cure = "check the network, and run the same command again"
		}
		return &DownloadError{err, cure}
	}
	return err
}

// Prefix reads the first n bytes of a file, or fewer where it has fewer.
func (c *Client) Prefix(ctx context.Context, f File, n int64) ([]byte, error) {
	if c.o.Offline {
		return nil, &OfflineError{Subject: f.Name()}
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.o.Endpoint+resolvePath(f.Repo, f.Commit, f.Path), nil)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", f.Name(), err)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", n-1))
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &UnreachableError{Endpoint: c.o.Endpoint, Err: cause(err)}
	}
	defer resp.Body.Close()
	if err := c.judge(resp, subject{f.Repo, f.Commit, f.Path}); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, n))
	if err != nil {
		return nil, &UnreachableError{Endpoint: c.o.Endpoint, Err: cause(err)}
	}
	return data, nil
}

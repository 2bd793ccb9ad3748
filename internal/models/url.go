package models

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/waqasm86/llcuda/internal/fetch"
	"github.com/waqasm86/llcuda/internal/flock"
	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/hub"
)

// URLFolder is the folder below CacheDir/models of what plain addresses gave.
const URLFolder = "url"

// stall is how long a plain address may send nothing; a test shortens it.
var stall = 30 * time.Second

// fromURL brings a model from a plain address into CacheDir. With a digest
// (#sha256=…) it is held to it like every other download. Without one nothing
// vouches for the bytes: that is said, and the header alone is checked.
func fromURL(ctx context.Context, spec Spec, offline bool, o Options) (Model, error) {
	if o.CacheDir == "" {
		return Model{}, errors.New("a download needs a cache directory")
	}
	u, err := url.Parse(spec.URL)
	if err != nil {
		return Model{}, err
	}
	name := path.Base(u.Path)
	if len(partsOf(name)) > 1 {
		return Model{}, &URLError{show(spec.URL), errors.New("it is one part of a split model"), "download all parts into one folder, and pass the path of the first"}
	}
	// One folder an address, or a digest: names alone are not unique.
	key := sha256.Sum256([]byte(spec.URL))
	dir := filepath.Join(o.CacheDir, "models", URLFolder, hex.EncodeToString(key[:8]))
	if spec.SHA256 != "" {
		dir = filepath.Join(o.CacheDir, "models", URLFolder, spec.SHA256[:16])
	}
	d := &plain{spec: spec, name: name, dest: filepath.Join(dir, name), o: o}
	_, err = os.Stat(d.dest)
	switch there := err == nil; {
	case there && (offline || !o.Refresh):
		return local(ctx, d.dest)
	case offline:
		return Model{}, &hub.OfflineError{Subject: show(spec.URL)}
	}
	d.client = &http.Client{Transport: &validators{next: http.DefaultTransport.(*http.Transport).Clone(), d: d}}
	if spec.SHA256 != "" {
		err = d.held(ctx)
	} else {
		err = d.unheld(ctx)
	}
	o.Finished(name)
	if err != nil {
		return Model{}, d.told(err)
	}
	return local(ctx, d.dest)
}

// plain is one download from a plain address.
type plain struct {
	spec       Spec
	name, dest string
	o          Options
	client     *http.Client
	// validator is the strong ETag of the first answer, "" where there is none.
	validator string
}

func (d *plain) open(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	return fetch.HTTP(d.client, func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, d.spec.URL, nil)
	})(ctx, offset)
}

// validators notes what an answer is a version of, and asks for the rest of the
// same version only: another one then comes from its start, and is noticed.
type validators struct {
	next http.RoundTripper
	d    *plain
}

func (v *validators) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Range") != "" && v.d.validator != "" {
		req = req.Clone(req.Context())
		req.Header.Set("If-Range", v.d.validator)
	}
	resp, err := v.next.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusOK {
		if v.d.validator = resp.Header.Get("ETag"); len(v.d.validator) > 2 && v.d.validator[:2] == "W/" {
			v.d.validator = ""
		}
	}
	return resp, err
}

// held downloads through internal/fetch against the digest.
func (d *plain) held(ctx context.Context) error {
	size := int64(-1)
	err := fetch.Retry(ctx, 3, 200*time.Millisecond, nil, func() error {
		return fetch.Watched(ctx, stall, func(ctx context.Context, _ func()) error {
			body, n, err := d.open(ctx, 0) // only for the size
			if err != nil {
				return err
			}
			size = n
			return body.Close()
		})
	})
	if err != nil {
		return err
	}
	if size < 0 {
		return errors.New("the server does not say how long the file is")
	}
	d.validator = ""
	_, err = fetch.File(ctx, fetch.Options{Open: d.open, Dest: d.dest, Name: d.name, Size: size, SHA256: d.spec.SHA256,
		Progress: func(done, total int64) { d.o.Progress(d.name, "downloading", done, total) }, FreeSpace: d.o.FreeSpace})
	return err
}

// unheld downloads without a digest: a broken connection is taken up where the
// server promises that the file is the same, else the file comes anew; nothing
// of an earlier run is used, for it may be of another version.
func (d *plain) unheld(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(d.dest), 0o755); err != nil {
		return err
	}
	temp := d.dest + fetch.Unverified
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock.Lock(ctx, f, func() { d.o.Note("waiting for another download of " + d.name + " to finish") }); err != nil {
		return err
	}
	if _, err := os.Stat(d.dest); err == nil && !d.o.Refresh {
		return nil // whoever had the lock has brought it
	}
	size, err := d.stream(ctx, f)
	if err != nil {
		os.Remove(temp)
		return err
	}
	if _, err := gguf.CheckFile(temp); err != nil {
		os.Remove(temp)
		return err
	}
	sum := sha256.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if n, err := io.Copy(sum, f); err != nil || n != size {
		return errors.Join(err, fmt.Errorf("read %d of %d bytes back", n, size))
	}
	if err := errors.Join(f.Sync(), os.Rename(temp, d.dest)); err != nil {
		return err
	}
	d.o.Note(fmt.Sprintf("nothing vouches for %s but its address: its bytes are sha256:%s (add #sha256=… to the address to hold it to that)",
		d.name, hex.EncodeToString(sum.Sum(nil))))
	return nil
}

// stream writes the whole file into f.
func (d *plain) stream(ctx context.Context, f *os.File) (size int64, err error) {
	const attempts = 5
	n := int64(0)
	for failed := 0; ; {
		before := n
		n, size, err = d.attempt(ctx, f, n)
		if err == nil {
			return size, nil
		}
		var again interface{ NoResume() bool }
		switch {
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case errors.As(err, &again) && again.NoResume() && n > 0:
			n, d.validator = 0, ""
			failed++
		case n > before:
			failed = 1
		default:
			failed++
		}
		var final interface{ Permanent() bool }
		if errors.As(err, &final) && final.Permanent() || failed > attempts {
			return 0, err
		}
		timer := time.NewTimer(time.Duration(failed) * 200 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// attempt reads from offset n on to the end, or to where it breaks.
func (d *plain) attempt(ctx context.Context, f *os.File, n int64) (done, size int64, err error) {
	if n > 0 && d.validator == "" {
		n = 0 // nothing says that the rest is of the same file
	}
	err = fetch.Watched(ctx, stall, func(ctx context.Context, alive func()) error {
		body, total, err := d.open(ctx, n)
		if err != nil {
			return err
		}
		defer body.Close()
		if n == 0 {
			if err := f.Truncate(0); err != nil {
				return err
			}
			if err := fetch.CheckSpace(d.o.FreeSpace, filepath.Dir(d.dest), total, d.name); err != nil {
				return err
			}
		}
		buf := make([]byte, 256<<10)
		for {
			k, err := body.Read(buf)
			if _, werr := f.WriteAt(buf[:k], n); werr != nil {
				return werr
			}
			n += int64(k)
			alive()
			d.o.Progress(d.name, "downloading", n, max(total, 0))
			switch {
			case errors.Is(err, io.EOF) && (total < 0 || n == total):
				return nil
			case errors.Is(err, io.EOF):
				return io.ErrUnexpectedEOF
			case err != nil:
				return cmp.Or(context.Cause(ctx), err)
			}
		}
	})
	if err != nil {
		return n, 0, err
	}
	return n, n, nil
}

// told gives an error words and a cure that fit an address of the user's own.
func (d *plain) told(err error) error {
	var status *fetch.StatusError
	var wrong *fetch.MismatchError
	var space *fetch.SpaceError
	var damaged *gguf.DamagedError
	cure := "check the address and the network, and run the same command again"
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &damaged):
		named := *damaged
		named.File = show(d.spec.URL)
		return &named
	case errors.As(err, &status) && (status.Code == http.StatusUnauthorized || status.Code == http.StatusForbidden):
		cure = "the server wants a login: download the file with your own program, and pass its path"
	case errors.As(err, &wrong):
		cure = "nothing of it was used: the digest is of another version, or something on the way changed the file"
	case errors.As(err, &space):
		cure = "free some space, or set LLCUDA_HOME to a folder on a larger disk"
	}
	return &URLError{show(d.spec.URL), err, cure}
}

// show is an address without what may be secret in it.
func show(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable address)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

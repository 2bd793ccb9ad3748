package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/internal/httpsafe"
)

// Resource is one file behind HTTP.
type Resource struct {
	client  *http.Client
	request func(ctx context.Context) (*http.Request, error)

	mu sync.Mutex
	// seen is what the first reply said of the file's version.
	seen version
}

// NewResource makes a Resource. request makes a fresh GET each time; the
// Resource adds the Range header, and asks for the bytes as they are (a client
// that unzips on the fly would hash something else). The client is copied, and
// its redirects are guarded as [httpsafe.Guard] says. nil = one that gives up on a host
// that does not answer within 30 s, and takes a proxy from the environment.
func NewResource(client *http.Client, request func(ctx context.Context) (*http.Request, error)) *Resource {
	return &Resource{client: httpsafe.Guard(client), request: request}
}

// HTTP is the [Opener] of a [Resource].
func HTTP(client *http.Client, request func(ctx context.Context) (*http.Request, error)) Opener {
	return NewResource(client, request).Open
}

// Open is an [Opener]. Statuses other than 200 and 206 are a [*StatusError], and
// the body is not read; a file that is not the one of the first reply is a
// [*ChangedError].
func (r *Resource) Open(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	return r.open(ctx, offset, -1)
}

// OpenRange is a [RangeOpener].
func (r *Resource) OpenRange(ctx context.Context, from, to int64) (io.ReadCloser, int64, error) {
	return r.open(ctx, from, to)
}

// open asks for the bytes from offset on; to < 0 means to the end.
func (r *Resource) open(ctx context.Context, offset, to int64) (io.ReadCloser, int64, error) {
	req, err := r.request(ctx)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	switch {
	case to >= 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, to-1))
	case offset > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, 0, httpsafe.Redact(err)
	}
	total, err := r.accept(resp, offset, to)
	if err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	return resp.Body, total, nil
}

// accept judges the header of a response to a request from offset on, and
// tells the size of the whole.
func (r *Resource) accept(resp *http.Response, offset, to int64) (total int64, err error) {
	where := httpsafe.Shown(resp.Request.URL)
	switch resp.StatusCode {
	case http.StatusOK:
		if offset > 0 || to >= 0 && to < resp.ContentLength {
			return 0, &NoResumeError{Name: where}
		}
		return resp.ContentLength, r.same(resp, offset)
	case http.StatusPartialContent:
		start, total, err := httpsafe.ContentRange(resp.Header.Get("Content-Range"))
		if err != nil || start != offset {
			return 0, &NoResumeError{Name: where}
		}
		return total, r.same(resp, offset)
	}
	after, _ := httpsafe.RetryAfter(resp.Header, httpsafe.Now(resp.Header, time.Now()))
	return 0, &StatusError{Code: resp.StatusCode, URL: where, After: after}
}

// version is what a server says of which file it sends.
type version struct{ etag, modified string }

// same compares a reply with the first. The server's word can only make us
// start over: that the bytes are right is the hash's to say.
func (r *Resource) same(resp *http.Response, offset int64) error {
	now := version{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}
	if strings.HasPrefix(now.etag, "W/") { // it may name other bytes
		now.etag = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.seen
	r.seen = now
	if was == (version{}) || offset == 0 {
		return nil
	}
	if was.etag != "" && now.etag != "" {
		if was.etag == now.etag {
			return nil
		}
	} else if was.modified == "" || now.modified == "" || was.modified == now.modified {
		return nil
	}
	return &ChangedError{URL: httpsafe.Shown(resp.Request.URL)}
}

// StatusError is an HTTP status that is not the file.
type StatusError struct {
	Code int
	// URL has no query, user or fragment: they may hold secrets.
	URL string
	// After is what Retry-After asked for, 0 if nothing.
	After time.Duration
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: HTTP %d %s", e.URL, e.Code, http.StatusText(e.Code))
}

// RetryAfter is how long the server asked us to wait.
func (e *StatusError) RetryAfter() time.Duration { return e.After }

// Permanent says that asking again gets the same answer: 4xx, but for the
// three that mean "later", and a 403 that names a time.
func (e *StatusError) Permanent() bool {
	switch e.Code {
	case http.StatusForbidden:
		return e.After == 0
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Code < 500
}

// OutOfRange says that the file is shorter than the offset asked for.
func (e *StatusError) OutOfRange() bool { return e.Code == http.StatusRequestedRangeNotSatisfiable }

// Hint says what to do.
func (e *StatusError) Hint() string {
	switch {
	case e.Code == http.StatusNotFound || e.Code == http.StatusGone:
		return "check the release source (--from) and that its upload was complete"
	case e.After > 0:
		return fmt.Sprintf("the server limits requests and asks to come back in %s; what came is kept. A token or login usually allows more", e.After.Round(time.Second))
	case e.Code == http.StatusTooManyRequests:
		return "the server limits requests: wait some minutes and run the same command again; what came is kept. A token or login usually allows more"
	case e.Code == http.StatusProxyAuthRequired:
		return "the proxy wants a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden:
		return "the server wants a login or refuses this address: check the token, or use a mirror (--from)"
	}
	return "the server has a problem: run the same command again later; what came is kept"
}

// ExitCode is 4: download or verification failed.
func (e *StatusError) ExitCode() int { return exitCode }

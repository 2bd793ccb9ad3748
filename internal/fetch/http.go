package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
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
// its redirects are guarded as [Guard] says. nil = one that gives up on a host
// that does not answer within 30 s, and takes a proxy from the environment.
func NewResource(client *http.Client, request func(ctx context.Context) (*http.Request, error)) *Resource {
	return &Resource{client: Guard(client), request: request}
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
		return nil, 0, redact(err)
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
	where := place(resp.Request.URL)
	switch resp.StatusCode {
	case http.StatusOK:
		if offset > 0 || to >= 0 && to < resp.ContentLength {
			return 0, &NoResumeError{Name: where}
		}
		return resp.ContentLength, r.same(resp, offset)
	case http.StatusPartialContent:
		start, total, err := contentRange(resp.Header.Get("Content-Range"))
		if err != nil || start != offset {
			return 0, &NoResumeError{Name: where}
		}
		return total, r.same(resp, offset)
	}
	now := time.Now()
	// What a host calls a time it counts by its own clock.
	if theirs, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = theirs
	}
	return 0, &StatusError{Code: resp.StatusCode, URL: where, After: after(resp.Header, now)}
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
	return &ChangedError{URL: place(resp.Request.URL)}
}

// Guard is a copy of a client whose redirects keep secrets at home: a request
// that was sent on to another host, port or scheme carries neither Authorization
// nor Cookie from then on, https never becomes http, and more than ten in a row
// are a [*RedirectError]. (net/http itself keeps secrets for subdomains and for
// other ports.) nil = a client that gives up on a host that does not answer
// within 30 s, speaks HTTP/1.1, so that two requests are two connections, and
// goes through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name.
func Guard(c *http.Client) *http.Client {
	if c == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = 30 * time.Second
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.MaxIdleConnsPerHost = 8
		c = &http.Client{Transport: t}
	}
	g := *c
	g.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		home := via[0].URL
		if len(via) >= 10 {
			return &RedirectError{URL: place(home), Why: "more than 10 redirects, the last to " + place(req.URL)}
		}
		for _, v := range append(via[1:len(via):len(via)], req) {
			if v.URL.Scheme != home.Scheme && home.Scheme == "https" {
				return &RedirectError{URL: place(home), Why: "a redirect from https to " + v.URL.Scheme}
			}
			if v.URL.Host != home.Host || v.URL.Scheme != home.Scheme {
				req.Header.Del("Authorization")
				req.Header.Del("Cookie")
			}
		}
		return nil
	}
	return &g
}

// contentRange reads "bytes 5-9/10"; total is -1 for "*".
func contentRange(s string) (start, total int64, err error) {
	bad := fmt.Errorf("unusable Content-Range %q", s)
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, bad
	}
	span, size, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, bad
	}
	first, _, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, bad
	}
	start, err = strconv.ParseInt(first, 10, 64)
	if err != nil || start < 0 {
		return 0, 0, bad
	}
	if size == "*" {
		return start, -1, nil
	}
	total, err = strconv.ParseInt(size, 10, 64)
	if err != nil || total < start {
		return 0, 0, bad
	}
	return start, total, nil
}

// after is how long a host wants to be left alone: Retry-After, or the two
// headers of GitHub and Hugging Face; 0 where it says nothing.
func after(h http.Header, now time.Time) time.Duration {
	if d := parseRetryAfter(h.Get("Retry-After"), now); d > 0 {
		return d
	}
	if h.Get("X-RateLimit-Remaining") == "0" {
		if s, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(0, time.Unix(s, 0).Sub(now))
		}
	}
	return 0
}

// parseRetryAfter reads the header's two forms, seconds and a date; 0 where
// there is none or it is past.
func parseRetryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
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

// place is the part of a URL that may be shown.
func place(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// redact removes the query from the URL in a client's error: signed storage
// URLs carry their secret there.
func redact(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		if u, perr := url.Parse(ue.URL); perr == nil {
			ue.URL = place(u)
		} else {
			ue.URL = "(unreadable URL)"
		}
	}
	return err
}

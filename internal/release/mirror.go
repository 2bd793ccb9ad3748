package release

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

	"github.com/waqasm86/llcuda/internal/httpsafe"
)

// mirror is a tree of files behind HTTP(S). It never sends a token.
type mirror struct {
	base *url.URL
	get  *getter
}

func newMirror(base *url.URL, o Options) *mirror {
	return &mirror{base: base, get: newGetter(o)}
}

func (m *mirror) String() string {
	if m.base.Path == "/" { // without it a tag would read as a host
		return m.base.String()
	}
	return strings.TrimSuffix(m.base.String(), "/")
}

func (m *mirror) open(ctx context.Context, name string, at span) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, 0, err
	}
	return m.get.from(req, at)
}

// span is which bytes of a file are wanted.
type span struct {
	from int64
	// to is the first byte that is not, 0 = all to the end.
	to int64
}

// header is the Range header, "" where the whole file is wanted.
func (s span) header() string {
	switch {
	case s.to > 0:
		return fmt.Sprintf("bytes=%d-%d", s.from, s.to-1)
	case s.from > 0:
		return fmt.Sprintf("bytes=%d-", s.from)
	}
	return ""
}

// getter reads a file over HTTP from an offset, and remembers the version of
// what it read so that two halves are of one file.
type getter struct {
	client    *http.Client
	userAgent string
	now       func() time.Time
	stall     time.Duration

	mu    sync.Mutex
	etags map[string]string
	// moved is where another host than the one asked had a file: the next range
	// of it is asked for there. GitHub counts every request to its API, and
	// allows few without a token.
	moved map[string]*url.URL
}

func newGetter(o Options) *getter {
	return &getter{client: httpsafe.Guard(o.HTTPClient), userAgent: o.UserAgent, now: o.Now, stall: o.Stall,
		etags: map[string]string{}, moved: map[string]*url.URL{}}
}

func (g *getter) from(req *http.Request, want span) (io.ReadCloser, int64, error) {
	at := req.URL.String()
	if there := g.movedTo(at); there != nil && want.header() != "" {
		direct := req.Clone(req.Context())
		direct.URL, direct.Host = there, ""
		direct.Header.Del("Authorization")
		direct.Header.Del("Cookie")
		r, size, err := g.ask(direct, at, want)
		var status *StatusError
		var gone *NotFoundError
		if !errors.As(err, &gone) && (!errors.As(err, &status) || status.Status/100 != 4) {
			return r, size, err
		}
		g.move(at, nil) // such addresses last minutes: ask for another
	}
	return g.ask(req, at, want)
}

// ask sends one request for a file that is known by the address at.
func (g *getter) ask(req *http.Request, at string, want span) (io.ReadCloser, int64, error) {
	// As it is stored: a compressed transfer would have other offsets.
	req.Header.Set("Accept-Encoding", "identity")
	if g.userAgent != "" {
		req.Header.Set("User-Agent", g.userAgent)
	}
	before := g.etag(at)
	if h := want.header(); h != "" {
		req.Header.Set("Range", h)
		if before != "" {
			req.Header.Set("If-Range", before)
		}
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, 0, httpsafe.Redact(err) // *url.Error: it names method and address
	}
	r, size, err := g.body(at, resp, want, before)
	if err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	if last := resp.Request.URL; last.Host != req.URL.Host {
		g.move(at, last)
	}
	return r, size, nil
}

// body checks a reply before a byte of it is read.
func (g *getter) body(at string, resp *http.Response, want span, before string) (io.ReadCloser, int64, error) {
	tag, offset := validator(resp.Header), want.from
	if offset > 0 && differ(before, tag) && resp.StatusCode/100 == 2 {
		g.remember(at, "")
		return nil, 0, &ChangedError{URL: at}
	}
	switch resp.StatusCode {
	case http.StatusOK:
		size := resp.ContentLength
		if offset > 0 && size >= 0 && offset > size {
			return nil, 0, &RangeError{URL: at, Offset: offset, Size: size}
		}
		if offset > 0 || want.to > 0 && want.to < size {
			return nil, 0, &NoResumeError{URL: at}
		}
		g.remember(at, tag)
		return resp.Body, size, nil
	case http.StatusPartialContent:
		start, size, err := httpsafe.ContentRange(resp.Header.Get("Content-Range"))
		if err != nil || start != offset {
			return nil, 0, &StatusError{URL: at, Status: resp.StatusCode,
				Detail: fmt.Sprintf("asked for bytes from %d on, got Content-Range %q", offset, resp.Header.Get("Content-Range"))}
		}
		g.remember(at, tag)
		return resp.Body, size, nil
	case http.StatusRequestedRangeNotSatisfiable:
		size := int64(-1)
		if n, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */"); ok {
			if v, err := strconv.ParseInt(n, 10, 64); err == nil {
				size = v
			}
		}
		if offset > 0 && size == offset {
			resp.Body.Close()
			return io.NopCloser(strings.NewReader("")), size, nil
		}
		return nil, 0, &RangeError{URL: at, Offset: offset, Size: size}
	}
	return nil, 0, statusError(at, resp, g.now())
}

func (g *getter) etag(at string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.etags[at]
}

func (g *getter) remember(at, tag string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if tag == "" {
		delete(g.etags, at)
		return
	}
	g.etags[at] = tag
}

func (g *getter) movedTo(at string) *url.URL {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.moved[at]
}

func (g *getter) move(at string, to *url.URL) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.moved == nil {
		g.moved = map[string]*url.URL{}
	}
	g.moved[at] = to
}

// validator is what a reply says of the version of its file: a strong ETag,
// else a date; "" where there is neither. Both may stand in If-Range.
func validator(h http.Header) string {
	if t := h.Get("ETag"); strings.HasPrefix(t, `"`) {
		return t
	}
	return h.Get("Last-Modified")
}

// differ says that two validators of one kind are of two versions.
func differ(a, b string) bool {
	return a != "" && b != "" && a != b && strings.HasPrefix(a, `"`) == strings.HasPrefix(b, `"`)
}

// statusError is the typed error of a reply that is not a success.
func statusError(at string, resp *http.Response, now time.Time) error {
	after, said := httpsafe.RetryAfter(resp.Header, httpsafe.Now(resp.Header, now))
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		return &NotFoundError{URL: at}
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && said, code == http.StatusForbidden && said:
		return &RateLimitError{URL: at, After: after}
	default:
		return &StatusError{URL: at, Status: code}
	}
}

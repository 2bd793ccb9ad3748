// Package httpsafe is what every download here does alike: a client whose
// redirects keep secrets at home, addresses and errors that can be shown, and the
// two headers that say which bytes come and when to ask again.
//
// It trusts no host: a header that cannot be used is an error or says nothing.
package httpsafe

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Guard is a copy of a client whose redirects keep secrets at home: a request
// that was sent on to another host, port or scheme carries neither Authorization
// nor Cookie from then on, none carries a Referer, which net/http makes of the whole
// address before, https never becomes http, and more than ten in a row are a
// [*RedirectError]. (net/http itself keeps secrets for subdomains and for other
// ports.) nil = a client that gives up on a host that does not answer within 30 s,
// speaks HTTP/1.1, so that two requests are two connections, and goes through the
// proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name.
func Guard(c *http.Client) *http.Client {
	if c == nil {
		// Its dialer gives up after 30 s, too.
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
		// The address that led here, query and all: it may be signed.
		req.Header.Del("Referer")
		if len(via) >= 10 {
			return &RedirectError{URL: Shown(home), Why: "more than 10 redirects, the last to " + Shown(req.URL)}
		}
		for _, v := range append(via[1:len(via):len(via)], req) {
			if v.URL.Scheme != home.Scheme && home.Scheme == "https" {
				return &RedirectError{URL: Shown(home), Why: "a redirect from https to " + v.URL.Scheme}
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

// RedirectError says that a host sends requests on and on, or to where no
// request may go.
type RedirectError struct{ URL, Why string }

func (e *RedirectError) Error() string { return e.URL + ": refused: " + e.Why }

// Permanent says that asking again is pointless.
func (e *RedirectError) Permanent() bool { return true }

// Hint says what to do.
func (e *RedirectError) Hint() string {
	return "the server is set up wrongly, or a login page stands between: check the address (--from) in a browser"
}

// ExitCode is 4: download or verification failed.
func (e *RedirectError) ExitCode() int { return 4 }

// Shown is the part of an address that may be shown: user, query and fragment may
// hold secrets.
func Shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Redact takes what may be a secret out of the address in a client's error: a
// redirect may have led to a signed one.
func Redact(err error) error {
	var at *url.Error
	if !errors.As(err, &at) {
		return err
	}
	if u, perr := url.Parse(at.URL); perr == nil {
		at.URL = Shown(u)
	} else {
		at.URL = "an address that cannot be read"
	}
	return err
}

// ContentRange reads "bytes 5-9/10" (RFC 9110, 14.4): where the bytes of a reply
// start, and how many the whole has, -1 for "*".
func ContentRange(s string) (start, total int64, err error) {
	bad := fmt.Errorf("unusable Content-Range %q", s)
	rest, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, bad
	}
	span, size, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, bad
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, bad
	}
	if start, err = number(first); err != nil {
		return 0, 0, bad
	}
	if end, err := number(last); err != nil || end < start {
		return 0, 0, bad
	}
	if size == "*" {
		return start, -1, nil
	}
	if total, err = number(size); err != nil || total < start {
		return 0, 0, bad
	}
	return start, total, nil
}

// number reads digits alone: a sign is none.
func number(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err //nolint:gosec // of 63 bits
}

// RetryAfter is how long a host wants to be left alone, and whether it says so:
// Retry-After in seconds or as a date (RFC 9110, 10.2.3), or the two headers of
// GitHub and Hugging Face. now is the host's own time of day, where it is known.
func RetryAfter(h http.Header, now time.Time) (after time.Duration, said bool) {
	if v := h.Get("Retry-After"); v != "" {
		if s, err := strconv.ParseInt(v, 10, 32); err == nil && s >= 0 {
			return time.Duration(s) * time.Second, true
		}
		if t, err := http.ParseTime(v); err == nil {
			return max(0, t.Sub(now)), true
		}
	}
	if h.Get("X-RateLimit-Remaining") == "0" {
		if s, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil {
			return max(0, time.Unix(s, 0).Sub(now)), true
		}
		return 0, true
	}
	return 0, false
}

// Now is the time of day of the host that sent h, else ours: what a host calls a
// time it counts by its own clock, and ours may be years off.
func Now(h http.Header, ours time.Time) time.Time {
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		return theirs
	}
	return ours
}

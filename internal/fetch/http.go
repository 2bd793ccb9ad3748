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
	"time"
)

// HTTP is an [Opener] for one HTTP resource. request makes a fresh GET each
// time; HTTP adds the Range header, and asks for the bytes as they are (a
// client that unzips on the fly would hash something else). Statuses other
// than 200 and 206 are a [*StatusError], and the body is not read.
func HTTP(client *http.Client, request func(ctx context.Context) (*http.Request, error)) Opener {
	return func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		req, err := request(ctx)
		if err != nil {
			return nil, 0, err
		}
		req.Header.Set("Accept-Encoding", "identity")
		if offset > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, 0, redact(err)
		}
		total, err := accept(resp, offset)
		if err != nil {
			resp.Body.Close()
			return nil, 0, err
		}
		return resp.Body, total, nil
	}
}

// accept judges the header of a response to a request from offset on, and
// tells the size of the whole.
func accept(resp *http.Response, offset int64) (total int64, err error) {
	where := place(resp.Request.URL)
	switch resp.StatusCode {
	case http.StatusOK:
		if offset > 0 {
			return 0, &NoResumeError{Name: where}
		}
		return resp.ContentLength, nil
	case http.StatusPartialContent:
		start, total, err := contentRange(resp.Header.Get("Content-Range"))
		if err != nil || start != offset {
			return 0, &NoResumeError{Name: where}
		}
		return total, nil
	}
	return 0, &StatusError{
		Code: resp.StatusCode, URL: where,
		After: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
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
// three that mean "later".
func (e *StatusError) Permanent() bool {
	switch e.Code {
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
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden:
		return "the server wants a login or refuses this address: check the token, or use a mirror (--from)"
	case e.After > 0:
		return fmt.Sprintf("the server asks to come back in %s", e.After.Round(time.Second))
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

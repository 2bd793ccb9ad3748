package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// body ends the time limit of its question when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// maxAnswer bounds an answer in JSON. A page of a tree has at most 1,000 files.
const maxAnswer = 16 << 20

// judge turns a status into the error that it means; nil for 2xx and 3xx.
func (c *Client) judge(resp *http.Response, what subject) error {
	if resp.StatusCode < 400 {
		return nil
	}
	code, message := resp.Header.Get("X-Error-Code"), resp.Header.Get("X-Error-Message")
	badToken := resp.StatusCode == http.StatusUnauthorized && c.o.Token != "" &&
		strings.HasPrefix(message, "Invalid credentials")
	switch {
	case badToken:
		return &TokenError{c.o.Endpoint, c.o.TokenFrom}
	case code == "GatedRepo":
		return &GatedError{c.o.Endpoint, what.repo, c.o.TokenFrom}
	case code == "RepoNotFound":
		return &RepoError{c.o.Endpoint, what.repo, c.o.TokenFrom}
	case code == "RevisionNotFound":
		return &RevisionError{c.o.Endpoint, what.repo, what.revision}
	case code == "EntryNotFound" && what.file != "":
		return &EntryError{Endpoint: c.o.Endpoint, Repo: what.repo, File: what.file}
	case resp.StatusCode == http.StatusTooManyRequests:
		return &RateLimitError{c.o.Endpoint, comeBack(resp.Header, time.Now()), c.o.Token == ""}
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout:
		return &BusyError{c.o.Endpoint, resp.StatusCode, comeBack(resp.Header, time.Now())}
	case isPage(resp.Header) && code == "" && message == "" && resp.Header.Get("X-Request-Id") == "":
		return &NotHubError{c.o.Endpoint, "a web page (HTTP " + strconv.Itoa(resp.StatusCode) + ")"}
	case resp.StatusCode == http.StatusUnauthorized && code == "" && c.o.Token == "":
		// The hub says 401 for what the anonymous may not see, missing or not.
		return &RepoError{c.o.Endpoint, what.repo, ""}
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return &RefusedError{c.o.Endpoint, what.String(), resp.StatusCode, message}
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone:
		return &RepoError{c.o.Endpoint, what.repo, c.o.TokenFrom}
	}
	return &RefusedError{c.o.Endpoint, what.String(), resp.StatusCode, message}
}

// comeBack is how long the hub asks to wait: Retry-After in seconds or as a
// date, else the t of RateLimit: "api";r=0;t=55 when nothing remains.
func comeBack(h http.Header, now time.Time) time.Duration {
	after := h.Get("Retry-After")
	if n, err := strconv.ParseInt(after, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil && at.After(now) {
		return at.Sub(now).Round(time.Second)
	}
	var remain, reset int64 = -1, 0
	for _, part := range strings.Split(h.Get("RateLimit"), ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseInt(value, 10, 32)
		switch {
		case err != nil || n < 0:
		case key == "r":
			remain = n
		case key == "t":
			reset = n
		}
	}
	if remain != 0 {
		return 0
	}
	return time.Duration(reset) * time.Second
}

// isPage says whether an answer is a web page.
func isPage(h http.Header) bool {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (t == "text/html" || t == "application/xhtml+xml")
}

// decode reads an answer in JSON into v.
func (c *Client) decode(resp *http.Response, v any) error {
	if isPage(resp.Header) {
		return &NotHubError{c.o.Endpoint, "a web page"}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return &UnreachableError{Endpoint: c.o.Endpoint, Err: cause(err)}
	}
	if len(data) > maxAnswer {
		return &NotHubError{c.o.Endpoint, "more than 16 MiB of JSON"}
	}
	if err := json.Unmarshal(data, v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && strings.HasPrefix(strings.TrimSpace(string(data[:min(64, len(data))])), "<") {
			return &NotHubError{c.o.Endpoint, "a web page"}
		}
		return &NotHubError{c.o.Endpoint, "something that is not the JSON asked for (" + err.Error() + ")"}
	}
	return nil
}

// digest reads an ETag that is a SHA-256: W/"<hex>", "<hex>" or <hex>. Git's
// blob ids (40 digits) and everything else are none.
func digest(etag string) (string, bool) {
	etag = strings.ToLower(strings.Trim(strings.TrimPrefix(strings.TrimSpace(etag), "W/"), `"`))
	return etag, isHex(etag, 64)
}

// isHex says whether s is n hexadecimal digits in small letters.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') })
}

// IsCommit says whether a revision is a commit, and not a branch or tag.
func IsCommit(revision string) bool { return isHex(revision, 40) }

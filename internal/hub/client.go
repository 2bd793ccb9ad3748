package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Options of a Client. Env is required.
type Options struct {
	Env
	// UserAgent is who asks, "" for Go's own.
	UserAgent string
	// Remember is the file that keeps which files were verified; "" = nobody.
	Remember string
	// Transport is what carries requests; nil = a common one, with the
	// environment's proxies.
	Transport http.RoundTripper
	// Backoff is the pause before the first of two retries of a question, and
	// fetch's before a retry of a download; 0 = 500 ms.
	Backoff time.Duration
	// Timeout is for one question; downloads know only stalls. 0 = 30 s.
	Timeout time.Duration
	// Log hears details; nil = nobody.
	Log *slog.Logger
}

// Client asks one hub and keeps one cache. Safe for concurrent use.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
}

// New makes a client. Nothing is asked yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Endpoint)
	if err != nil || base.Host == "" {
		return nil, &EndpointError{o.Endpoint}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Backoff == 0 {
		o.Backoff = 500 * time.Millisecond
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &Client{o: o, base: base, http: &http.Client{
		Transport:     &carrier{base: base, token: o.Token, agent: o.UserAgent, next: o.Transport},
		CheckRedirect: inside(base),
	}}, nil
}

// Offline says whether the client asks nothing.
func (c *Client) Offline() bool { return c.o.Offline }

// CacheDir is the hub's cache.
func (c *Client) CacheDir() string { return c.o.CacheDir }

// Endpoint is the hub's address, without a slash at its end.
func (c *Client) Endpoint() string { return c.o.Endpoint }

// Anonymous is the same client without its token.
func (c *Client) Anonymous() *Client {
	o := c.o
	o.Token, o.TokenFrom = "", ""
	anonymous := *c
	anonymous.o = o
	anonymous.http = &http.Client{
		Transport:     &carrier{base: c.base, agent: o.UserAgent, next: o.Transport},
		CheckRedirect: c.http.CheckRedirect,
	}
	return &anonymous
}

// carrier puts the token on requests to the hub's own origin. That is done here
// and not with a header of the request, because a header may follow a redirect:
// Go's client keeps it for subdomains and for other ports of a host.
type carrier struct {
	base  *url.URL
	token string
	agent string
	next  http.RoundTripper
}

func (t *carrier) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if t.agent != "" {
		req.Header.Set("User-Agent", t.agent)
	}
	if t.token != "" && sameOrigin(req.URL, t.base) {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	return t.next.RoundTrip(req)
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// inside follows the redirects of questions within the hub (a renamed
// repository) and hands the first one that leaves it back as the answer: its
// header is what was asked for. Downloads (GET) follow everywhere.
func inside(base *url.URL) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		if via[0].Method == http.MethodHead && !sameOrigin(req.URL, base) {
			return http.ErrUseLastResponse
		}
		return nil
	}
}

// ask sends one question, again where the hub is only busy, and judges the
// status. The caller closes the body.
func (c *Client) ask(ctx context.Context, what subject, method, path string) (*http.Response, error) {
	if c.o.Offline {
		return nil, &OfflineError{Subject: what.String()}
	}
	const attempts = 3
	for n := 1; ; n++ {
		resp, err := c.once(ctx, what, method, path)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("asking %s: %w", c.base.Host, context.Cause(ctx))
		}
		pause, again := patience(err, c.o.Backoff<<(n-1))
		if !again || n == attempts {
			return nil, err
		}
		c.o.Log.Info("asking the hub again", "path", path, "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("asking %s: %w", c.base.Host, context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// patience says whether to ask again after err, and when. A limit that lasts
// longer than the user would wait without a word is told at once.
func patience(err error, pause time.Duration) (time.Duration, bool) {
	const longest = 15 * time.Second
	var limit *RateLimitError
	var busy *BusyError
	var unreachable *UnreachableError
	switch {
	case errors.As(err, &limit):
		pause = max(pause, limit.After)
		return pause, limit.After > 0 && pause <= longest
	case errors.As(err, &busy):
		pause = max(pause, busy.After)
		return pause, pause <= longest
	}
	return pause, errors.As(err, &unreachable)
}

func (c *Client) once(ctx context.Context, what subject, method, path string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	req, err := http.NewRequestWithContext(ctx, method, c.o.Endpoint+path, nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("asking the hub: %w", err)
	}
	req.Header.Set("Accept-Encoding", "identity") // sizes are of the file itself
	resp, err := c.http.Do(req)
	if err != nil {
		cancel()
		return nil, &UnreachableError{Endpoint: c.o.Endpoint, Err: cause(err)}
	}
	if err := c.judge(resp, what); err != nil {
		resp.Body.Close()
		cancel()
		return nil, err
	}
	resp.Body = &body{resp.Body, cancel}
	return resp, nil
}

package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// pollEvery is the time between two looks at a starting server.
	pollEvery = 50 * time.Millisecond
	// healthTime is how long one health check may take.
	healthTime = 2 * time.Second
	// lineTime is how long the "listening on" line may come after the server is
	// healthy. All it says of its devices comes before that line.
	lineTime = time.Second
)

// awaitReady returns nil when the server answers. On any error no process is left.
func (s *Server) awaitReady(ctx context.Context, stall time.Duration) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var before string
	moved := time.Now()
	for {
		select {
		case <-s.done:
			return s.endedEarly()
		case <-ctx.Done():
			s.end()
			return fmt.Errorf("waiting for llama-server: %w", context.Cause(ctx))
		case <-tick.C:
		}
		printed, status := s.look(ctx)
		if status == http.StatusOK {
			s.mu.Lock()
			s.ready = true
			s.mu.Unlock()
			return nil
		}
		now := fmt.Sprint(printed, status, activity(s.PID()))
		if now != before {
			before, moved = now, time.Now()
		} else if idle := time.Since(moved); idle >= stall {
			tail := s.out.last()
			s.end()
			return &StallError{For: idle, Tail: tail}
		}
	}
}

// endedEarly is the error for a server that ended before it was ready.
func (s *Server) endedEarly() error {
	switch {
	case s.died != nil:
		return s.died
	case s.args.Answers != "":
		return &AnswerError{Flag: s.args.Answers}
	default:
		return &DiedError{Status: 0, Tail: s.out.last(), Cause: Diagnose(s.out.all())}
	}
}

// look asks the server for its health, if it is known where it listens. Only an
// address that is surely ours is asked, by the server's own word or the kernel's:
// on a port that is taken another server would answer.
func (s *Server) look(ctx context.Context) (printed, status int) {
	address, printed := s.out.state()
	told := address != ""
	if own := listeners(s.PID()); !told && len(own) > 0 {
		address = "http://" + own[0].String()
		if s.args.TLS {
			address = "https://" + own[0].String()
		}
	}
	if address == "" && strings.HasSuffix(s.args.Host, ".sock") {
		address = "unix://" + s.args.Host
	}
	if address == "" {
		return printed, 0
	}
	base, err := baseURL(address, s.args.Prefix)
	if err != nil {
		s.log.Warn("llama-server gave an address that cannot be read", "address", address)
		return printed, 0
	}
	status = health(ctx, base)
	if status != http.StatusOK {
		return printed, status
	}
	if s.healthy.IsZero() {
		s.healthy = time.Now()
	}
	if !told && s.args.Quiet == "" && time.Since(s.healthy) < lineTime {
		return printed, http.StatusAccepted // healthy, and its log is not read yet
	}
	s.url = base
	return printed, status
}

// baseURL is the URL at which this machine reaches an address that a server
// listens on.
func baseURL(address, prefix string) (string, error) {
	if strings.HasPrefix(address, "unix://") {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u.Host, u.Path = reachable(u.Host), prefix
	return u.String(), nil
}

// health is the HTTP status of /health: 200 when ready, 503 while a model loads,
// 0 where nobody answers.
func health(ctx context.Context, base string) int {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	// One connection a question: a server that stops waits for none of ours.
	transport := &http.Transport{
		DisableKeepAlives: true,
		// The certificate is for others: this is our own child on this machine,
		// and it is told nothing.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	if path, ok := strings.CutPrefix(base, "unix://"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		base = "http://localhost"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", nil)
	if err != nil {
		return 0
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return response.StatusCode
}

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
	// pollEvery is the time between two looks at a starting server, restEvery where
	// it will say itself that it listens: a look costs up to ten milliseconds of the
	// CPU that the server loads its model with.
	pollEvery, restEvery = 50 * time.Millisecond, 500 * time.Millisecond
	// healthTime is how long one health check may take.
	healthTime = 2 * time.Second
	// lineTime is how long the "listening on" line may come after the server is
	// healthy. All it says of its devices comes before that line.
	lineTime = time.Second
)

// awaitReady returns nil when the server answers. On any error no process is left.
func (s *Server) awaitReady(ctx context.Context, stall time.Duration) error {
	every := restEvery
	if s.args.Quiet != "" {
		every = pollEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	type sign struct{ printed, status int }
	var before sign
	used, moved := activityOf(s.PID()), time.Now()
	told := s.out.told
	for {
		select {
		case <-s.done:
			return s.endedEarly()
		case <-ctx.Done():
			_ = s.end() // the error that matters is the one below
			return fmt.Errorf("waiting for llama-server: %w", context.Cause(ctx))
		case <-told: // it says that it listens: no need to wait for the next look
			told = nil
			tick.Reset(pollEvery)
		case <-tick.C:
		}
		printed, status := s.look(ctx)
		if status == http.StatusOK {
			s.mu.Lock()
			s.ready = true
			s.mu.Unlock()
			return nil
		}
		now, use, idle := sign{printed, status}, activityOf(s.PID()), time.Since(moved)
		switch {
		case now != before || use.busySince(used, idle):
			before, used, moved = now, use, time.Now()
		case idle >= stall:
			tail := s.out.last()
			_ = s.end() // the error that matters is the one below
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
	if !told { // the kernel's table takes up to ten milliseconds to read
		if own := listeners(s.PID()); len(own) > 0 {
			address = "http://" + own[0].String()
			if s.args.TLS {
				address = "https://" + own[0].String()
			}
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
	status = s.health(ctx, base)
	switch status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		// It serves, and its health is not for us (a prefix together with a key
		// in a file, a proxy's route). It says where it listens when it is ready.
		if !told {
			return printed, status
		}
	default:
		return printed, status
	}
	if s.healthy.IsZero() {
		s.healthy = time.Now()
	}
	if !told && s.args.Quiet == "" && time.Since(s.healthy) < lineTime {
		return printed, http.StatusAccepted // healthy, and its log is not read yet
	}
	s.url = base
	return printed, http.StatusOK
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

// healthPath is llama-server's own.
const healthPath = "/health"

// health is the HTTP status of /health: 200 when ready, 503 while a model loads,
// 0 where nobody answers.
func (s *Server) health(ctx context.Context, base string) int {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	client, origin := s.client(base)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+healthPath, nil)
	if err != nil {
		return 0
	}
	if s.args.Key != "" {
		request.Header.Set("Authorization", "Bearer "+s.args.Key)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return response.StatusCode
}

// client reaches this server, which may listen on a socket or with a certificate
// that nobody signed; origin is what to put before a path.
func (s *Server) client(base string) (client *http.Client, origin string) {
	transport := &http.Transport{
		// One connection a question: a server that stops waits for none of ours.
		DisableKeepAlives: true,
		// The certificate is for others: this is our own child on this machine.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	if path, ok := strings.CutPrefix(base, "unix://"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		base = "http://localhost" + s.args.Prefix
	}
	return &http.Client{Transport: transport}, base
}

package release

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// maxAnswer bounds an answer of GitHub's API, in bytes: a page of 100 assets
// takes some 200 kB.
const maxAnswer = 16 << 20

// defaultStall is Options.Stall where none is given.
const defaultStall = 30 * time.Second

// patient reads a body until no byte came for stall; then it closes the body,
// which ends a Read under way, and the Read says so. A Read beyond limit bytes
// fails.
type patient struct {
	body    io.ReadCloser
	left    int64
	over    error
	stall   time.Duration
	dog     *time.Timer
	stalled atomic.Bool
}

func newPatient(body io.ReadCloser, limit int64, what string, stall time.Duration) *patient {
	if stall == 0 {
		stall = defaultStall
	}
	p := &patient{body: body, left: limit, stall: stall,
		over: fmt.Errorf("reading %s: more than the %d bytes that one can have", what, limit)}
	p.dog = time.AfterFunc(stall, func() {
		p.stalled.Store(true)
		_ = body.Close()
	})
	return p
}

func (p *patient) Read(b []byte) (int, error) {
	if int64(len(b)) > p.left+1 {
		b = b[:p.left+1] // one more than may come, to see that it does
	}
	n, err := p.body.Read(b)
	if p.left -= int64(n); p.left < 0 {
		return 0, p.over
	}
	switch {
	case p.stalled.Load() && !errors.Is(err, io.EOF):
		return n, &StallError{For: p.stall}
	case n > 0:
		p.dog.Reset(p.stall)
	}
	return n, err
}

func (p *patient) Close() error {
	p.dog.Stop()
	return p.body.Close()
}

// readBounded reads all of a body and closes it. It fails where there is more
// than limit, and where no byte comes for stall.
func readBounded(body io.ReadCloser, limit int64, what string, stall time.Duration) ([]byte, error) {
	r := newPatient(body, limit, what, stall)
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(r)
	switch {
	case errors.Is(err, r.over):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return data, nil
}

// bounded is a transport whose answers are read into memory by somebody else.
type bounded struct {
	next  http.RoundTripper
	stall time.Duration
}

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(req)
	if err == nil {
		resp.Body = newPatient(resp.Body, maxAnswer, "an answer of "+req.URL.Host, b.stall)
	}
	return resp, err
}

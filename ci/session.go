package ci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// session is one connection to the engine. A build has one for itself: the
// engine tells a session about its own work only, so whose output a line is
// needs no guess.
type session struct {
	client *dagger.Client
	out    *plain
	cancel context.CancelCauseFunc
}

var (
	errStalled = errors.New("no sign of life while connecting")
	errClosed  = errors.New("session closed")
)

// connect opens a session. It gives up when the engine's client is silent for
// stall; it does not limit how long a client that says something may take (it
// may be downloading the engine).
func connect(ctx context.Context, o DaggerOptions) (*session, error) {
	runner := o.Env[envRunnerHost]
	if err := dial(ctx, runner); err != nil {
		return nil, engineError(ctx, runner, err, nil)
	}
	// The engine's client tries for 10 minutes where nobody answers, and does not
	// end with its context until it has: it is left behind, its end noted.
	ctx, cancel := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(o.Stall, func() { cancel(errStalled) })
	out := &plain{alive: func() { quiet.Reset(o.Stall) }}
	opts := []dagger.ClientOpt{
		dagger.WithLogOutput(&lines{each: out.line}),
		dagger.WithEnvironmentVariable("NO_COLOR", "1"),
		dagger.WithEnvironmentVariable("DAGGER_PROGRESS", "plain"),
		dagger.WithEnvironmentVariable("DAGGER_NO_NAG", "1"),
		dagger.WithEnvironmentVariable("DO_NOT_TRACK", "1"),
	}
	if runner != "" {
		opts = append(opts, dagger.WithRunnerHost(runner))
	}
	type answer struct {
		client *dagger.Client
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		client, err := dagger.Connect(ctx, opts...)
		answers <- answer{client, err}
	}()
	select {
	case a := <-answers:
		out.connected()
		quiet.Stop()
		if a.err != nil {
			cancel(errClosed)
			return nil, engineError(ctx, runner, a.err, out)
		}
		return &session{client: a.client, out: out, cancel: cancel}, nil
	case <-ctx.Done():
		out.connected()
		quiet.Stop()
		go func() {
			if a := <-answers; a.client != nil {
				a.client.Close()
			}
		}()
		return nil, engineError(ctx, runner, context.Cause(ctx), out)
	}
}

// envRunnerHost names the engine's address.
const envRunnerHost = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"

// dial knocks at a named engine, so that a wrong address is known at once.
// Addresses that only the engine's own client understands are left to it.
func dial(ctx context.Context, runner string) error {
	u, err := url.Parse(runner)
	if err != nil {
		return err
	}
	var network, address string
	switch u.Scheme {
	case "unix":
		network, address = "unix", u.Path
	case "tcp":
		network, address = "tcp", u.Host
	default:
		return nil
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// engineError says why there is no session: cancelled, or no engine.
func engineError(ctx context.Context, runner string, err error, out *plain) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errStalled) && !errors.Is(context.Cause(ctx), errClosed) {
		return fmt.Errorf("connecting to the Dagger engine: %w", ctx.Err())
	}
	if out != nil {
		if why := out.why(); why != "" {
			err = errors.New(why)
		}
	}
	return &EngineError{Host: runner, Err: err}
}

// close ends the session: the engine stops what still runs in it. The engine's
// client is waited for until ctx or limit ends; it ends by itself later, its
// input is closed.
func (s *session) close(limit time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// What Close says is that its child was told to end.
		_ = s.client.Close()
		s.cancel(errClosed)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// plain reads the plain progress log of the engine's client:
//
//	12  : ┆ Container.withExec(args: ["cmake", …]): Container!
//	12  : ┆ [3.1s] | [12/458] Building CXX object …
//	12  : ┆ Container.withExec DONE [3.2s]
//
// Lines come up to a second late. A withExec's number stands for the step during
// which it was first seen, so late lines stay with their step; lines of other
// spans are the engine's own and only logged.
type plain struct {
	mu     sync.Mutex
	alive  func()
	report *report
	steps  map[string]string // number of a withExec → step
	last   []string          // of the connecting phase
}

var (
	plainLine = lazyregexp.New(`^([0-9]+) *: `)
	plainText = lazyregexp.New(`^(?:┆ )*\[[0-9hms.]+\] \|(?: (.*))?$`)
	plainExec = lazyregexp.New(`^(?:┆ )*(?:Container\.)?withExec\b`)
	plainFail = lazyregexp.New(`^(?:[0-9]+ *: (?:┆ )*)?(?:!|Error:) (.*)$`)
)

func (p *plain) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive != nil && !strings.Contains(text, "connection error") && !strings.Contains(text, "Control/Info") {
		p.alive()
	}
	if p.report == nil {
		if len(p.last) == tailLines {
			p.last = append(p.last[:0], p.last[1:]...)
		}
		p.last = append(p.last, text)
		return
	}
	m := plainLine.FindStringSubmatch(text)
	if m == nil {
		if strings.TrimSpace(text) != "" {
			p.report.note("dagger: " + text)
		}
		return
	}
	step, ours := p.steps[m[1]]
	if out := plainText.FindStringSubmatch(text[len(m[0]):]); ours && out != nil {
		p.report.lineOf(step, out[1])
		return
	}
	if !ours && plainExec.MatchString(text[len(m[0]):]) {
		p.steps[m[1]] = p.report.current()
	}
	p.report.note("dagger: " + text)
}

// connected ends the watch on silence.
func (p *plain) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive = nil
}

// attach sends all further lines to a build's report.
func (p *plain) attach(r *report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report, p.steps = r, map[string]string{}
}

// detach drops what comes still, so that no line reaches a job that is over.
func (p *plain) detach() {
	p.attach(newReport("", Job{Log: io.Discard}))
}

var traceParent = lazyregexp.New(` \[traceparent:[^\]]*\]`)

// why is the reason that the client gave last.
func (p *plain) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.last) - 1; i >= 0; i-- {
		if m := plainFail.FindStringSubmatch(p.last[i]); m != nil {
			return traceParent.ReplaceAllString(m[1], "")
		}
	}
	return ""
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"dagger.io/dagger"

	"github.com/waqasm86/llcuda/ci/internal/lines"
	"github.com/waqasm86/llcuda/ci/internal/wire"
)

// session is one connection to the engine, of one build: the engine tells a
// session about its own work only, so whose output a line is needs no guess.
type session struct {
	runner string
	client *dagger.Client
	out    *plain
	cancel context.CancelCauseFunc
}

var (
	errStalled = errors.New("no sign of life while connecting")
	errClosed  = errors.New("session closed")
)

// connect opens a session with the engine at runner ("": the SDK finds one). It
// gives up when the engine's client is silent for stall; it does not limit how long
// a client that says something may take (it may be downloading the engine).
func connect(ctx context.Context, runner string, stall time.Duration) (*session, error) {
	if err := dial(ctx, runner); err != nil {
		return nil, engineError(ctx, runner, err, nil)
	}
	// The engine's client tries for 10 minutes where nobody answers, and does not
	// end with its context until it has: it is left behind, its end noted.
	ctx, cancel := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(stall, func() { cancel(errStalled) })
	out := &plain{alive: func() { quiet.Reset(stall) }}
	opts := []dagger.ClientOpt{
		dagger.WithLogOutput(&lines.Writer{Each: out.line}),
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
		return &session{runner: runner, client: a.client, out: out, cancel: cancel}, nil
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
	return noEngine(runner, err)
}

func noEngine(runner string, err error) error {
	return &Error{wire.Failed{Kind: wire.KindEngine, Host: runner}, err}
}

// closeLimit is how long a session may take to end.
const closeLimit = 30 * time.Second

// Close ends the session: the engine stops what still runs in it. The engine's
// client is waited for until closeLimit; it ends by itself later, its input is
// closed.
func (s *session) Close() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// What Close says is that its child was told to end.
		_ = s.client.Close()
		s.cancel(errClosed)
	}()
	timer := time.NewTimer(closeLimit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

package release

import (
	"context"
	"sync"
	"time"
)

// clock is the time that a publisher waits by.
type clock interface {
	Now() time.Time
	Wait(ctx context.Context, d time.Duration) error
}

// wall is the real one.
type wall struct{}

func (wall) Now() time.Time { return time.Now() }

func (wall) Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Requests that change something are spread so that GitHub's secondary limits are
// not met: 80 of them a minute and 500 an hour (docs.github.com, "Rate limits for
// the REST API"); a second apart in the long run ("Best practices for using the
// REST API"). 15 in 15 s are at most 75 in any minute.
var changeLimits = []struct {
	n   int
	per time.Duration
}{{15, 15 * time.Second}, {450, time.Hour}}

// pace says when the next request may be made, for all who upload at once.
type pace struct {
	clock clock

	mu sync.Mutex
	// until is when GitHub wants to hear of us again.
	until time.Time
	// changes are the moments given to requests that change something, in order.
	changes []time.Time
}

// turn waits until a request may be made.
func (p *pace) turn(ctx context.Context, change bool) error {
	at := p.reserve(change)
	for {
		p.mu.Lock()
		if p.until.After(at) {
			at = p.until
		}
		p.mu.Unlock()
		d := at.Sub(p.clock.Now())
		if d <= 0 {
			return ctx.Err()
		}
		if err := p.clock.Wait(ctx, d); err != nil {
			return err
		}
	}
}

func (p *pace) reserve(change bool) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.clock.Now()
	if !change {
		return at
	}
	for _, l := range changeLimits {
		if n := len(p.changes); n >= l.n {
			if free := p.changes[n-l.n].Add(l.per); free.After(at) {
				at = free
			}
		}
	}
	if n := len(p.changes); n > 0 && p.changes[n-1].After(at) {
		at = p.changes[n-1]
	}
	p.changes = append(p.changes, at)
	return at
}

// rest lets nobody ask for d.
func (p *pace) rest(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.clock.Now().Add(d); t.After(p.until) {
		p.until = t
	}
}

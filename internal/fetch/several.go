package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// pace is when one stream becomes several, and how they are measured.
type pace struct {
	// piece is how many bytes one range has.
	piece int64
	// window is how long a rate is measured before it is believed.
	window time.Duration
	// always splits at once and measures nothing, for tests.
	always bool
}

func (p pace) complete() pace {
	if p.piece == 0 {
		p.piece = 4 << 20
	}
	if p.window == 0 {
		p.window = time.Second
	}
	return p
}

// worth says whether several connections are worth a try: what is left takes
// so long at this rate (bytes a second) that measuring costs little beside it.
func (p pace) worth(rate float64, left int64) bool {
	return p.always || left >= 8*p.piece && float64(left) > 4*rate*p.window.Seconds()
}

// faster says whether more connections brought enough to be kept.
func faster(before, after float64) bool { return after > 1.15*before }

// slowError says that one stream is slow enough to try several.
type slowError struct{ rate float64 }

func (e *slowError) Error() string { return fmt.Sprintf("%.0f bytes a second", e.rate) }

// errNotFaster says that several connections brought no more than one.
var errNotFaster = errors.New("several connections are not faster than one")

// meter measures one stream.
type meter struct {
	pace  pace
	on    bool
	bytes int64
	since time.Time
}

func (p pace) meter(size int64, on bool) *meter {
	return &meter{pace: p, on: on && (p.always || size >= 8*p.piece)}
}

// count is told of n bytes that came; the error is a *slowError once it is
// known that several connections are worth a try for what is left.
func (m *meter) count(n int, left int64) error {
	if !m.on {
		return nil
	}
	if m.since.IsZero() { // the first bytes may have waited in a buffer
		m.since = time.Now()
		if !m.pace.always {
			return nil
		}
	}
	m.bytes += int64(n)
	took := time.Since(m.since)
	if took < m.pace.window && !m.pace.always {
		return nil
	}
	m.on = false
	rate := float64(m.bytes) / max(took.Seconds(), 1e-6)
	if m.pace.worth(rate, left) {
		return &slowError{rate}
	}
	return nil
}

// piece is one range on its way.
type piece struct {
	from int64
	buf  []byte
	// n is how much of buf came; whole or err end the piece.
	n   int
	err error
}

// ranges are the pieces between what p has and what was asked for.
type ranges struct {
	o Options
	p *partial

	mu     sync.Mutex
	queue  []*piece // in their order; the first begins at p.n
	active int
	news   chan struct{}
	came   atomic.Int64

	next  int64 // the first byte that no piece has
	spare [][]byte
}

// several fetches what p lacks over several connections, each a range of its
// own, and appends in order. It starts with two and adds while that brings more.
// single is what one stream brought, in bytes a second. What it returns it
// returns with p in one piece: bytes ahead of a gap are dropped.
func several(ctx context.Context, o Options, p *partial, single float64) error {
	o.Log.Info("trying several connections", "file", o.Name, "rate", int64(single))
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(errNotFaster)
	r := &ranges{o: o, p: p, news: make(chan struct{}, 1), next: p.n}
	g := growth{pace: o.pace, most: o.Connections, want: 2, best: single}
	if o.pace.always {
		g.want, g.settled = o.Connections, true
	}
	tick := time.NewTicker(o.pace.window)
	defer tick.Stop()
	for p.n < o.Size {
		r.hand(ctx, &running, g.want)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.news:
			if err := r.take(); err != nil {
				return err
			}
		case <-tick.C:
			if err := g.step(r.came.Load(), time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// hand starts pieces until want are on their way. At most two more are kept
// that came before those in front of them.
func (r *ranges) hand(ctx context.Context, running *sync.WaitGroup, want int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.active < want && len(r.queue) < want+2 && r.next < r.o.Size {
		n := min(r.o.pace.piece, r.o.Size-r.next)
		var buf []byte
		if k := len(r.spare); k > 0 {
			buf, r.spare = r.spare[k-1][:n], r.spare[:k-1]
		} else {
			buf = make([]byte, n, r.o.pace.piece)
		}
		p := &piece{from: r.next, buf: buf}
		r.queue, r.next, r.active = append(r.queue, p), r.next+n, r.active+1
		running.Go(func() {
			err := r.fill(ctx, p)
			r.mu.Lock()
			p.err, r.active = err, r.active-1
			r.mu.Unlock()
			r.tell()
		})
	}
}

func (r *ranges) tell() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// fill brings one piece. A connection that brought something before it was cut
// is followed by another at once; one that brought nothing fails the piece.
func (r *ranges) fill(ctx context.Context, p *piece) error {
	for {
		before := p.n
		err := Watched(ctx, r.o.Stall, func(ctx context.Context, alive func()) error {
			to := p.from + int64(len(p.buf))
			body, total, err := r.o.OpenRange(ctx, p.from+int64(p.n), to)
			if err != nil {
				return unfit(r.o, p.from+int64(p.n), err)
			}
			body, shut := shutting(ctx, body)
			defer shut()
			if err := checkTotal(r.o, total, body); err != nil {
				return err
			}
			for p.n < len(p.buf) {
				// Only this goroutine writes n and the bytes behind it.
				n, err := body.Read(p.buf[p.n:])
				if n > 0 {
					alive()
					r.came.Add(int64(n))
					r.mu.Lock()
					p.n += n
					r.mu.Unlock()
					r.tell()
				}
				switch {
				case p.n == len(p.buf):
					return nil
				case err == io.EOF:
					return io.ErrUnexpectedEOF
				case err != nil:
					return err
				}
			}
			return nil
		})
		var mismatch *MismatchError
		if err == nil || ctx.Err() != nil || errors.As(err, &mismatch) || permanent(err) || p.n == before {
			return err
		}
	}
}

// take appends what has come without a gap. An error of a piece is that of all.
func (r *ranges) take() error {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.mu.Unlock()
			return nil
		}
		p := r.queue[0]
		fresh := p.buf[r.p.n-p.from : p.n]
		var failed error
		ahead := int64(0)
		for _, q := range r.queue {
			if q.err != nil && failed == nil {
				failed = q.err
			}
			if q != p {
				ahead += int64(q.n)
			}
		}
		r.mu.Unlock()
		if len(fresh) > 0 {
			if err := r.p.write(fresh); err != nil {
				return err
			}
			r.o.Progress(r.p.n+ahead, r.o.Size)
		}
		if failed != nil {
			return failed
		}
		if r.p.n < p.from+int64(len(p.buf)) {
			return nil
		}
		r.mu.Lock()
		r.queue = r.queue[1:]
		r.spare = append(r.spare, p.buf[:cap(p.buf)])
		r.mu.Unlock()
	}
}

// growth decides how many connections are used.
type growth struct {
	pace    pace
	most    int
	want    int
	settled bool
	// best is the rate that want has to beat, in bytes a second.
	best float64

	came  int64
	since time.Time
	began bool // the window is measured; before it a new connection warms up
}

// step is called once a window with all bytes that came so far.
func (g *growth) step(came int64, now time.Time) error {
	if g.settled {
		return nil
	}
	if !g.began {
		g.began, g.came, g.since = true, came, now
		return nil
	}
	rate := float64(came-g.came) / now.Sub(g.since).Seconds()
	g.began = false
	switch {
	case faster(g.best, rate) && g.want < g.most:
		g.best, g.want = rate, min(g.want+2, g.most)
	case faster(g.best, rate):
		g.settled = true
	case g.want == 2:
		return errNotFaster
	default:
		g.want, g.settled = g.want-2, true
	}
	return nil
}

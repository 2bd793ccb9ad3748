package bundles

import (
	"io"
	"sync"
)

// pool lends things of which there are so many at most. One that was used before
// goes first: a line that is slower than the decoder makes few of them.
type pool[T any] struct {
	used chan T
	// unmade has an element for each that may still be made.
	unmade chan struct{}
	make   func() T
}

func newPool[T any](n int, f func() T) *pool[T] {
	p := &pool[T]{make(chan T, n), make(chan struct{}, n), f}
	for range n {
		p.unmade <- struct{}{}
	}
	return p
}

// get waits until there is one, or quit is closed.
func (p *pool[T]) get(quit <-chan struct{}) (one T, ok bool) {
	select {
	case one = <-p.used:
		return one, true
	default:
	}
	select {
	case one = <-p.used:
		return one, true
	case <-p.unmade:
		return p.make(), true
	case <-quit:
		return one, false
	}
}

func (p *pool[T]) put(one T) { p.used <- one }

// growing is bytes that still come. One goroutine adds to them and ends them,
// another one reads.
type growing struct {
	mu   sync.Mutex
	more sync.Cond
	b    []byte // all there will be; the first have of it are here
	have int
	at   int
	err  error // behind the last of them; nil = more come
}

// begin makes it hold size bytes, of which none are here yet.
func (g *growing) begin(size int) {
	g.more.L = &g.mu
	if cap(g.b) < size {
		// With room for the next, which is a little larger. slices.Grow would clear
		// it, and so touch all of it.
		g.b = make([]byte, size, max(size, min(2*cap(g.b), maxPacked(frameSize))))
		preferHugePages(g.b[:cap(g.b)])
	}
	g.b, g.have, g.at, g.err = g.b[:size], 0, 0, nil
}

// room is where the next bytes go, up to most of them.
func (g *growing) room(most int) []byte { return g.b[g.have:min(len(g.b), g.have+most)] }

func (g *growing) full() bool { return g.have == len(g.b) }

// came tells the reader of n more bytes.
func (g *growing) came(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.have += n
	g.more.Signal()
}

// end tells the reader what is behind the last byte, io.EOF where err is nil.
func (g *growing) end(err error) {
	if err == nil {
		err = io.EOF
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
	g.more.Signal()
}

// fillFrom reads what is not here from r, and ends. Where r ends before, the
// reader is told io.ErrUnexpectedEOF, and so is the caller.
func (g *growing) fillFrom(r io.Reader) (err error) {
	for !g.full() && err == nil {
		var n int
		n, err = r.Read(g.b[g.have:])
		g.came(n)
	}
	if err = unexpectedEOF(err); g.full() {
		err = nil
	}
	g.end(err)
	return err
}

// next is the next n bytes, or those that are left of them. It waits for that, and
// gives the error behind the last byte alone.
func (g *growing) next(n int) ([]byte, error) {
	g.mu.Lock()
	for g.have-g.at < n && g.err == nil {
		g.more.Wait()
	}
	b, err := g.b[g.at:min(g.have, g.at+n)], g.err // nobody writes there any more
	g.mu.Unlock()
	if g.at += len(b); len(b) > 0 {
		err = nil
	}
	return b, err
}

// Read is io.Reader, for a p that is not empty.
func (g *growing) Read(p []byte) (int, error) {
	b, err := g.next(len(p))
	return copy(p, b), err
}

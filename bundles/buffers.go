package bundles

import (
	"io"
	"slices"
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

// growing is a reader of bytes that still come. One goroutine writes and ends it,
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
	g.b, g.have, g.at, g.err = slices.Grow(g.b[:0], size)[:size], 0, 0, nil
}

// fillFrom reads what is not here from r. Where r ends before, the reader is told
// io.ErrUnexpectedEOF, and so is the caller.
func (g *growing) fillFrom(r io.Reader) (err error) {
	for g.have < len(g.b) && err == nil {
		var n int
		n, err = r.Read(g.b[g.have:])
		if err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
			err = io.ErrUnexpectedEOF
		}
		if g.have+n == len(g.b) {
			err = nil
		}
		g.came(n, err)
	}
	return err
}

// came tells the reader of n more bytes and of what ended them.
func (g *growing) came(n int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.have += n; g.have == len(g.b) {
		err = io.EOF
	}
	g.err = err
	g.more.Signal()
}

func (g *growing) Read(p []byte) (int, error) {
	g.mu.Lock()
	for g.at == g.have && g.err == nil {
		g.more.Wait()
	}
	from, err := g.b[g.at:g.have], g.err
	g.mu.Unlock()
	n := copy(p, from) // nobody writes there any more
	if g.at += n; n > 0 {
		err = nil
	}
	return n, err
}

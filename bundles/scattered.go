package bundles

import (
	"errors"
	"io"
)

const (
	// block is the piece in which a large member is kept.
	block = 256 << 10
	// headBlocks are kept of the start, windowBlocks (6 MB) of what passed last
	// and, from the first pass on, of the end: tables of sections lie there. A
	// fat binary is read forwards but for its larger images, whose start is asked for
	// again: with 2 MB that took 27 passes over the parts of docs/bench.md, so 8.
	headBlocks   = 2
	windowBlocks = 24
)

// errStopped is what a visit gets that waits when the reading has ended.
var errStopped = errors.New("the archive is not read any further")

// scattered is a large member that is read at any offset while its bytes pass.
// The visit runs in a goroutine of its own and asks; stream answers, and holds
// the bytes back until the visit asks for others.
type scattered struct {
	entry  Entry
	asks   chan *ask
	result chan error
	quit   <-chan struct{}

	pending  []*ask
	head     [headBlocks][]byte
	window   [windowBlocks]kept
	tail     [windowBlocks]kept
	haveTail bool
}

// kept is one block; at is its number, b empty for none.
type kept struct {
	at int64
	b  []byte
}

// ask is one call of ReadAt; got is how much of p is there.
type ask struct {
	p    []byte
	off  int64
	got  int
	done chan struct{}
}

func newScattered(e Entry, visit func(Entry, io.ReaderAt) error, quit <-chan struct{}) *scattered {
	s := &scattered{entry: e, asks: make(chan *ask), result: make(chan error, 1), quit: quit}
	go func() { s.result <- visit(e, s) }()
	return s
}

// ReadAt may be called by several goroutines of the visit.
func (s *scattered) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.entry.Size {
		return 0, io.EOF
	}
	var end error
	if left := s.entry.Size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	a := &ask{p: p, off: off, done: make(chan struct{})}
	select {
	case s.asks <- a:
	case <-s.quit:
		return 0, errStopped
	}
	select {
	case <-a.done:
		return len(p), end
	case <-s.quit:
		return 0, errStopped
	}
}

// stream lets the member's bytes pass once, and says whether the visit ended.
func (s *scattered) stream(r io.Reader) (done bool, err error) {
	for i := range s.window {
		s.window[i].b = s.window[i].b[:0]
	}
	for n := int64(0); ; n++ {
		if done, err = s.settle(); done {
			return true, err
		}
		if n*block >= s.entry.Size {
			break
		}
		if err := s.next(r, n); err != nil {
			return false, err
		}
	}
	if !s.haveTail {
		s.haveTail = true
		s.tail, s.window = s.window, s.tail
	}
	return false, nil
}

// next reads block n into the window.
func (s *scattered) next(r io.Reader, n int64) error {
	w := &s.window[n%windowBlocks]
	if w.b == nil {
		w.b = make([]byte, 0, block)
	}
	w.at, w.b = n, w.b[:min(block, s.entry.Size-n*block)]
	if _, err := io.ReadFull(r, w.b); err != nil {
		w.b = w.b[:0]
		return err
	}
	if n < headBlocks && s.head[n] == nil {
		s.head[n] = append([]byte(nil), w.b...)
	}
	return nil
}

// settle answers what can be answered, until the visit has ended or everything
// it asked for is yet to come or has passed.
func (s *scattered) settle() (done bool, err error) {
	for {
		waiting := s.pending[:0]
		for _, a := range s.pending {
			if s.fill(a) {
				close(a.done)
			} else {
				waiting = append(waiting, a)
			}
		}
		s.pending = waiting
		if len(waiting) == 0 {
			// The visit computes: its next bytes must not pass meanwhile.
			select {
			case a := <-s.asks:
				s.pending = append(s.pending, a)
			case err := <-s.result:
				return true, err
			}
			continue
		}
		select { // what other goroutines of the visit ask meanwhile
		case a := <-s.asks:
			s.pending = append(s.pending, a)
		default:
			return false, nil
		}
	}
}

// fill copies what is kept of what was asked for, in order.
func (s *scattered) fill(a *ask) bool {
	for a.got < len(a.p) {
		at := a.off + int64(a.got)
		b := s.block(at / block)
		if b == nil {
			return false
		}
		a.got += copy(a.p[a.got:], b[at%block:])
	}
	return true
}

// block is a block that is kept, nil where it is not.
func (s *scattered) block(n int64) []byte {
	if n < headBlocks && s.head[n] != nil {
		return s.head[n]
	}
	for _, k := range [...]*kept{&s.window[n%windowBlocks], &s.tail[n%windowBlocks]} {
		if k.at == n && len(k.b) > 0 {
			return k.b
		}
	}
	return nil
}

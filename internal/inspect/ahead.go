package inspect

import "io"

const (
	// aheadBytes is how much is read where little is asked for: an entry's header
	// and the head of its payload.
	aheadBytes = 2 << 10
	// aheadPlaces is how many such pieces are kept: the headers of a container's
	// entries are read first, and then the heads.
	aheadPlaces = 16
)

// ahead reads a little more than it is asked for, and remembers it for a while:
// so a file of many entries, which are far apart, is read with one call for each.
type ahead struct {
	r      io.ReaderAt
	places [aheadPlaces]piece
	next   int
}

type piece struct {
	off int64
	b   []byte
}

func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > aheadBytes/2 {
		return a.r.ReadAt(p, off)
	}
	for i := range a.places {
		s := &a.places[i]
		if at := off - s.off; at >= 0 && at+int64(len(p)) <= int64(len(s.b)) {
			return copy(p, s.b[at:]), nil
		}
	}
	s := &a.places[a.next]
	a.next = (a.next + 1) % aheadPlaces
	if s.b == nil {
		s.b = make([]byte, aheadBytes)
	}
	n, err := a.r.ReadAt(s.b[:aheadBytes], off)
	s.off, s.b = off, s.b[:n]
	if n >= len(p) {
		err = nil
	}
	return copy(p, s.b), err
}

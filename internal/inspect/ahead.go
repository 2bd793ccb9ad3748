package inspect

import "io"

// aheadBytes is how much is read where little is asked for: an entry header and
// headBytes.
const aheadBytes = 6 << 10

// ahead reads a little more than it is asked for: an entry's header, the head of
// its payload and, mostly, nothing between this and the next entry, which is far
// away. So a file is read with one call for each entry.
type ahead struct {
	r   io.ReaderAt
	off int64
	buf []byte
}

func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	if at := off - a.off; at >= 0 && at+int64(len(p)) <= int64(len(a.buf)) {
		return copy(p, a.buf[at:]), nil
	}
	if len(p) > headBytes {
		return a.r.ReadAt(p, off)
	}
	if a.buf == nil {
		a.buf = make([]byte, aheadBytes)
	}
	n, err := a.r.ReadAt(a.buf[:aheadBytes], off)
	a.off, a.buf = off, a.buf[:n]
	if n >= len(p) {
		return copy(p, a.buf), nil
	}
	return copy(p, a.buf), err
}

package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// window is how many bytes a cursor reads at a time.
const window = 64 << 10

// cursor reads little-endian values from the start of a file. The first error
// sticks, so that a run of reads is checked once.
type cursor struct {
	r    io.ReaderAt
	size int64
	// capped marks a size that is the bound on headers, not the file's.
	capped bool
	// pos is where the next value begins.
	pos int64
	// buf holds the bytes from base on.
	buf  []byte
	base int64
	err  error
}

// need makes n ≤ window bytes at pos available and moves past them; nil after
// an error.
func (c *cursor) need(n int) []byte {
	if c.err != nil {
		return nil
	}
	if c.size-c.pos < int64(n) {
		c.ends()
		return nil
	}
	if c.pos < c.base || c.pos+int64(n) > c.base+int64(len(c.buf)) {
		if cap(c.buf) == 0 {
			c.buf = make([]byte, window)
		}
		c.buf = c.buf[:min(int64(cap(c.buf)), c.size-c.pos)]
		c.base = c.pos
		if read, err := c.r.ReadAt(c.buf, c.pos); read < len(c.buf) {
			if errors.Is(err, io.EOF) {
				c.damaged("became shorter while it was read", cureDownload)
			} else {
				c.err = fmt.Errorf("reading the header: %w", err)
			}
			c.buf = c.buf[:0]
			return nil
		}
	}
	from := c.pos - c.base
	c.pos += int64(n)
	return c.buf[from : from+int64(n)]
}

// skip moves n bytes on.
func (c *cursor) skip(n uint64) {
	if c.err != nil {
		return
	}
	if n > uint64(c.size-c.pos) {
		c.ends()
		return
	}
	c.pos += int64(n)
}

// ends says that the header goes on where the file does not.
func (c *cursor) ends() {
	if c.capped {
		c.corrupt("it is longer than %d MiB", maxHeader>>20)
		return
	}
	c.damaged("ends inside its header", cureDownload)
}

func (c *cursor) damaged(what, cure string) {
	if c.err == nil {
		c.err = &DamagedError{What: what, Offset: c.pos, Cure: cure}
	}
}

// corrupt is damage that no truncation explains.
func (c *cursor) corrupt(format string, args ...any) {
	c.damaged(fmt.Sprintf("has a damaged header: "+format, args...), cureCorrupt)
}

func (c *cursor) u32() uint32 {
	if b := c.need(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.need(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text reads a string that may have up to limit ≤ window bytes; a longer one is
// corrupt.
func (c *cursor) text(limit int, what string) string {
	n := c.u64()
	if c.err != nil {
		return ""
	}
	if n > uint64(limit) {
		c.corrupt("a %s of %d bytes", what, n)
		return ""
	}
	return string(c.need(int(n)))
}

// rest is how many bytes lie ahead.
func (c *cursor) rest() uint64 { return uint64(c.size - c.pos) }

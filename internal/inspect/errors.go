package inspect

import (
	"errors"
	"fmt"
	"io"
)

// FormatError says that a file is not what its own headers claim: truncated,
// damaged, or of a kind that is not read here.
type FormatError struct {
	// File is the path or name that was given, for an archive "lib.a(member.o)".
	File string
	// Offset is in bytes from the start of File; within compressed data it is
	// the offset of the compressed payload.
	Offset int64
	// What is wrong, in words.
	What string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: at offset %#x: %s", e.File, e.Offset, e.What)
}

// Hint says what a user can do about it.
func (e *FormatError) Hint() string {
	return "the file is damaged, cut short, or of an unknown format: compare its size and checksum with its origin"
}

// region is a window of a file: all reading goes through it, so that no offset
// from foreign bytes is used before it was checked.
type region struct {
	r    io.ReaderAt
	file string
	// off is where the window starts in r, size how long it is.
	off, size int64
	// shown is added to positions in errors: for data that was decompressed,
	// the place of the payload.
	shown int64
}

// fail makes a FormatError at an offset within the window.
func (g region) fail(off int64, format string, args ...any) error {
	return &FormatError{File: g.file, Offset: g.shown + off, What: fmt.Sprintf(format, args...)}
}

// has says whether n bytes at off lie inside the window.
func (g region) has(off, n uint64) bool {
	size := uint64(g.size)
	return off <= size && n <= size-off
}

// sub is the window of n bytes at off.
func (g region) sub(off, n uint64, what string) (region, error) {
	if !g.has(off, n) {
		return region{}, g.fail(int64(min(off, uint64(g.size))), "%s of %d bytes at offset %#x does not fit the %d bytes there are (cut short?)", what, n, off, g.size)
	}
	s := g
	s.off += int64(off)
	s.shown += int64(off)
	s.size = int64(n)
	return s, nil
}

// bytes reads n bytes at off.
func (g region) bytes(off, n uint64, what string) ([]byte, error) {
	if !g.has(off, n) {
		return nil, g.fail(int64(min(off, uint64(g.size))), "%s of %d bytes at offset %#x does not fit the %d bytes there are (cut short?)", what, n, off, g.size)
	}
	b := make([]byte, n)
	return b, g.read(b, int64(off), what)
}

// read fills b with what stands at off, which was checked to be inside.
func (g region) read(b []byte, off int64, what string) error {
	got, err := g.r.ReadAt(b, g.off+off)
	if got == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return g.fail(off+int64(got), "the file ends inside %s", what)
	}
	return fmt.Errorf("reading %s of %s at offset %#x: %w", what, g.file, g.shown+off, err)
}

// prefix reads the first n bytes, or all there are.
func (g region) prefix(n int64) ([]byte, error) {
	return g.bytes(0, uint64(min(n, g.size)), "the first bytes")
}

// chunks calls visit with consecutive pieces of the window, size bytes each but
// for the last. The slice is reused. visit returning false ends the walk.
func (g region) chunks(size int64, what string, visit func(off int64, b []byte) bool) error {
	buf := make([]byte, min(size, g.size))
	for off := int64(0); off < g.size; off += size {
		b := buf[:min(size, g.size-off)]
		got, err := g.r.ReadAt(b, g.off+off)
		if got < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				return g.fail(off+int64(got), "the file ends inside %s", what)
			}
			return fmt.Errorf("reading %s of %s at offset %#x: %w", what, g.file, g.shown+off, err)
		}
		if !visit(off, b) {
			return nil
		}
	}
	return nil
}

// reader streams the window.
func (g region) reader() io.Reader { return io.NewSectionReader(g.r, g.off, g.size) }

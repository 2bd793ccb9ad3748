package bundles

import (
	"context"
	"encoding/binary"
	"io"
)

// A part is zstd frames, one behind the other, that know nothing of each other:
// any zstd reads them as one file, and they can be compressed and decompressed
// at the same time. Before each lies a skippable frame of sizeFrame bytes that
// says how long it is, as pzstd writes it (contrib/pzstd of zstd): magic number,
// length of what follows, length of the next frame, each 32 bits, little endian.
const (
	// frameSize is how many bytes of tar one frame holds, the last excepted.
	// What repeats across the border of two is stored twice (docs/performance.md).
	frameSize = 32 << 20

	sizeFrame      = 12
	sizeFrameMagic = 0x184D2A50
)

func appendSizeFrame(b []byte, next int) []byte {
	b = binary.LittleEndian.AppendUint32(b, sizeFrameMagic)
	b = binary.LittleEndian.AppendUint32(b, sizeFrame-8)
	return binary.LittleEndian.AppendUint32(b, uint32(next)) //nolint:gosec // below maxPacked
}

// readSizeFrame is the length of the next frame, false where b says none.
func readSizeFrame(b []byte) (next int, ok bool) {
	if len(b) < sizeFrame || binary.LittleEndian.Uint32(b) != sizeFrameMagic || binary.LittleEndian.Uint32(b[4:]) != sizeFrame-8 {
		return 0, false
	}
	return int(binary.LittleEndian.Uint32(b[8:])), true
}

// maxPacked is the longest frame of n bytes: libzstd's own bound
// (ZSTD_COMPRESSBOUND) and what a header and a checksum take.
func maxPacked(n uint64) int { return int(n+n>>8) + 1024 } //nolint:gosec // n is at most frameSize

// frameWriter cuts what is written to it into frames, of which up to workers are
// compressed at the same time. Where it is cut follows from the bytes alone.
type frameWriter struct {
	ctx  context.Context
	fail context.CancelCauseFunc
	p    compression
	buf  []byte
	// slots are taken by frames that are compressed or wait to be written.
	slots   chan struct{}
	queue   chan chan packedFrame
	written chan struct{}
	kept    int64 // bytes of frames of an earlier part; valid when written is closed
}

type packedFrame struct {
	b    []byte
	kept bool
	err  error
}

// newFrameWriter starts one; Close ends it in any case.
func newFrameWriter(ctx context.Context, w io.Writer, p compression) *frameWriter {
	f := &frameWriter{p: p, slots: make(chan struct{}, p.workers), queue: make(chan chan packedFrame, p.workers), written: make(chan struct{})}
	f.ctx, f.fail = context.WithCancelCause(ctx)
	go f.write(w)
	return f
}

// write writes the frames in their order. Behind the first error there is
// nothing to write: those that are compressed then end with it.
func (f *frameWriter) write(w io.Writer) {
	defer close(f.written)
	for next := range f.queue {
		frame := <-next
		if frame.err == nil && f.alive() == nil {
			_, frame.err = w.Write(appendSizeFrame(nil, len(frame.b)))
		}
		if frame.err == nil && f.alive() == nil {
			_, frame.err = w.Write(frame.b)
		}
		if frame.kept {
			f.kept += int64(len(frame.b))
		}
		if frame.err != nil {
			f.fail(frame.err)
		}
		<-f.slots
	}
}

func (f *frameWriter) alive() error { return context.Cause(f.ctx) }

func (f *frameWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := f.alive(); err != nil {
			return n, err
		}
		if f.buf == nil {
			f.buf = make([]byte, 0, f.p.frame)
		}
		took := min(len(p)-n, f.p.frame-len(f.buf))
		f.buf, n = append(f.buf, p[n:n+took]...), n+took
		if len(f.buf) == f.p.frame {
			f.flush()
		}
	}
	return n, nil
}

// flush has what is there compressed as soon as there is a thread for it.
func (f *frameWriter) flush() {
	f.slots <- struct{}{}
	in, done := f.buf, make(chan packedFrame, 1)
	f.buf = nil
	f.queue <- done
	go func() {
		if b := f.p.earlier.frame(in); b != nil {
			done <- packedFrame{b: b, kept: true}
			return
		}
		b, err := compress(f.alive, in, f.p)
		done <- packedFrame{b: b, err: err}
	}()
}

// Close ends the last frame, waits for all that were begun, and says what failed
// first.
func (f *frameWriter) Close() error {
	if len(f.buf) > 0 && f.alive() == nil {
		f.flush()
	}
	close(f.queue)
	<-f.written
	defer f.fail(nil)
	return f.alive()
}

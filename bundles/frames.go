package bundles

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
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
}

type packedFrame struct {
	b   []byte
	err error
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
		b, err := compress(f.alive, in, f.p)
		done <- packedFrame{b, err}
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

// frameDecoder reads parts, one after the other. Frames that say how long they
// and their contents are, as Pack's do, are decompressed side by side, each into
// a buffer of its contents, which is its window too. From the first other one on
// the archive is read as a stream, with a window of up to MaxWindow.
type frameDecoder struct {
	maxWindow uint64
	whole     *zstd.Decoder
	stream    *zstd.Decoder // nil until one is needed
	// free holds a buffer for each further frame that may be in memory.
	free chan *buffer
}

// buffer is what a frame lies in, and its contents; both grow when they are needed.
type buffer struct{ packed, b []byte }

func newFrameDecoder(o UnpackOptions) (*frameDecoder, error) {
	d := &frameDecoder{maxWindow: o.withDefaults().MaxWindow}
	d.free = make(chan *buffer, decoders()+1)
	for range cap(d.free) {
		d.free <- new(buffer)
	}
	var err error
	d.whole, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(decoders()), zstd.WithDecoderMaxMemory(frameSize))
	return d, err
}

// maxDecoders bounds how many frames are decompressed at the same time, and with
// it the memory that takes: one more is held than this, which is read.
const maxDecoders = 4

func decoders() int { return min(runtime.GOMAXPROCS(0), maxDecoders) }

// MemoryToRead is how many bytes of memory reading a part takes, about: 32 MiB for
// each frame in memory, three with two processors and five with four or more, and
// half as much for what they were packed to. A frame packed to more takes more.
// What reads an archive of another program takes DefaultMaxWindow at most.
func MemoryToRead() int64 {
	return max(DefaultMaxWindow, int64(decoders()+1)*frameSize*3/2)
}

func (d *frameDecoder) Close() {
	d.whole.Close()
	if d.stream != nil {
		d.stream.Close()
	}
}

// open begins to read an archive: the one before must have been stopped. It reads
// r ahead, in a goroutine that stop ends.
func (d *frameDecoder) open(r io.Reader) *frameReader {
	f := &frameReader{d: d, queue: make(chan chan contents, cap(d.free)), quit: make(chan struct{})}
	f.running.Go(func() { f.split(aliveReader{r, f.alive}) })
	return f
}

// frameReader is an archive's bytes, decompressed.
type frameReader struct {
	d       *frameDecoder
	queue   chan chan contents
	quit    chan struct{}
	running sync.WaitGroup
	now     contents
	left    []byte // of now.buf
}

// contents are those of one frame, or a stream of all that begins there.
type contents struct {
	buf    *buffer
	stream io.Reader
	err    error
}

func (f *frameReader) alive() error {
	select {
	case <-f.quit:
		return errStopped
	default:
		return nil
	}
}

// split begins one frame after the other.
func (f *frameReader) split(r io.Reader) {
	defer close(f.queue)
	for {
		var buf *buffer
		select {
		case buf = <-f.d.free:
		case <-f.quit:
			return
		}
		rest, err := buf.readFrame(r, f.d.maxWindow)
		if err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
			f.d.put(buf)
			return
		}
		// The queue has room for as many as there are buffers.
		next := make(chan contents, 1)
		f.queue <- next
		if err != nil || rest != nil {
			next <- contents{buf: buf, stream: rest, err: err}
			return
		}
		f.running.Go(func() {
			b, err := f.d.whole.DecodeAll(buf.packed, buf.b[:0])
			if err == nil {
				buf.b = b
			}
			next <- contents{buf: buf, err: err}
		})
	}
}

// readFrame reads one frame that can be decompressed by itself, or gives what is
// left where that is something else. At the end the error is io.EOF.
func (buf *buffer) readFrame(r io.Reader, maxWindow uint64) (rest io.Reader, err error) {
	buf.packed = slices.Grow(buf.packed[:0], sizeFrame)[:sizeFrame]
	n, err := fill(r, buf.packed)
	if n == 0 && err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return nil, err
	}
	begun := bytes.NewReader(bytes.Clone(buf.packed[:n]))
	size, ok := readSizeFrame(buf.packed[:n])
	if err == nil && ok && size <= maxPacked(frameSize) {
		buf.packed = slices.Grow(buf.packed[:0], size)[:size]
		if n, err = fill(r, buf.packed); n == size && standsAlone(buf.packed, maxWindow) {
			return nil, nil
		}
		rest = io.MultiReader(begun, bytes.NewReader(buf.packed[:n]), r)
	} else {
		rest = io.MultiReader(begun, r)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return nil, err
	}
	return rest, nil
}

// standsAlone says that a frame names the size of its contents, that a buffer
// of them is small enough, and that the frame is no longer than they allow.
func standsAlone(frame []byte, maxWindow uint64) bool {
	var h zstd.Header
	if err := h.Decode(frame); err != nil || h.Skippable || !h.HasFCS {
		return false
	}
	return h.FrameContentSize <= min(frameSize, maxWindow) && len(frame) <= maxPacked(h.FrameContentSize)
}

func (f *frameReader) Read(p []byte) (int, error) {
	for {
		switch {
		case len(f.left) > 0:
			n := copy(p, f.left)
			f.left = f.left[n:]
			return n, nil
		case f.now.err != nil:
			return 0, f.now.err
		case f.now.stream != nil:
			return f.d.stream.Read(p)
		}
		f.next()
	}
}

// next makes the next frame the one that is read.
func (f *frameReader) next() {
	f.d.put(f.now.buf)
	next, ok := <-f.queue
	if !ok {
		f.now = contents{err: io.EOF}
		return
	}
	f.now = <-next
	switch {
	case f.now.stream != nil:
		f.now.err = f.d.startStream(f.now.stream)
	case f.now.err == nil:
		f.left = f.now.buf.b
	}
}

func (d *frameDecoder) put(b *buffer) {
	if b != nil {
		d.free <- b
	}
}

// startStream works with two goroutines at most: its memory is the window and
// little more.
func (d *frameDecoder) startStream(r io.Reader) (err error) {
	if d.stream == nil {
		d.stream, err = zstd.NewReader(nil, zstd.WithDecoderMaxWindow(d.maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(2))
	}
	if err == nil {
		err = d.stream.Reset(r)
	}
	return err
}

// stop ends the reading: when it returns r is read no more, and the decoder can
// take the next archive.
func (f *frameReader) stop() {
	close(f.quit)
	f.running.Wait()
	if f.d.stream != nil {
		_ = f.d.stream.Reset(nil) // waits for its goroutines
	}
	f.d.put(f.now.buf)
	for next := range f.queue { // closed, and what is in it is finished
		f.d.put((<-next).buf)
	}
}

package bundles

import (
	"bytes"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// frameDecoder reads parts, one after the other. Frames that say how long they
// and their contents are, as Pack's do, are decompressed side by side, each from
// the first of its bytes on, while the next one comes. From the first other one on
// the archive is read as a stream, with a window of up to MaxWindow.
type frameDecoder struct {
	maxWindow uint64
	stream    *zstd.Decoder // nil until one is needed
	workers   *pool[*worker]
}

// maxDecoders bounds how many frames are in memory at the same time: three are as
// fast as more (docs/performance.md, "While it comes").
const maxDecoders = 3

func decoders() int { return min(runtime.GOMAXPROCS(0), maxDecoders) }

// pieceSize is what is hashed or written at once: small, so that this is done while
// more is decompressed.
const pieceSize = 512 << 10

// MemoryToRead is how many bytes of memory reading a part takes, about. Each frame
// in memory, two with two processors and three with more, takes its contents of 32
// MiB, a window as large where there is no libzstd, and an eighth for what it was
// packed to; a frame packed to more takes more. What reads an archive of another
// program takes DefaultMaxWindow at most.
func MemoryToRead() int64 {
	return max(DefaultMaxWindow, int64(decoders())*(frameSize+frameWindow+frameSize/8))
}

func newFrameDecoder(o UnpackOptions) *frameDecoder { return newFrameDecoderWith(o, newFrameUnpacker) }

func newFrameDecoderWith(o UnpackOptions, unpacker func() frameUnpacker) *frameDecoder {
	return &frameDecoder{maxWindow: o.withDefaults().MaxWindow, workers: newPool(decoders(), func() *worker { return &worker{z: unpacker()} })}
}

func (d *frameDecoder) Close() {
	for len(d.workers.used) > 0 {
		(<-d.workers.used).z.close()
	}
	if d.stream != nil {
		d.stream.Close()
	}
}

// worker decompresses one frame at a time, all of it before anybody must read it:
// less would hold it up where the line is slower than it.
type worker struct {
	z      frameUnpacker
	packed growing
	plain  growing
}

// contents are those of one frame, or a stream of all that begins there.
type contents struct {
	w      *worker
	stream io.Reader // nil where w has a frame
	err    error     // instead of both
}

// open begins to read an archive: the one before must have been stopped. It reads
// r ahead, in a goroutine that stop ends.
func (d *frameDecoder) open(r io.Reader) *frameReader {
	f := &frameReader{d: d, queue: make(chan contents, cap(d.workers.used)), quit: make(chan struct{})}
	f.running.Go(func() { f.split(aliveReader{r, f.alive}) })
	return f
}

// frameReader is an archive's bytes, decompressed.
type frameReader struct {
	d       *frameDecoder
	queue   chan contents
	quit    chan struct{}
	running sync.WaitGroup
	list    []byte   // what the archive says is in it; known when the first byte was read
	now     contents // nothing before the first and behind the last
	err     error
	buf     []byte // of what was read of a stream
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
	f.list, r = readList(r)
	for {
		w, ok := f.d.workers.get(f.quit)
		if !ok {
			return
		}
		rest, err := w.begin(r, f.d.maxWindow)
		if err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
			f.d.workers.put(w)
			return
		}
		// The queue has room for as many as there are workers.
		f.queue <- contents{w, rest, err}
		if err != nil || rest != nil {
			return
		}
		f.running.Go(func() { w.plain.end(w.z.unpack(&w.packed, &w.plain, f.alive)) })
		if w.packed.fillFrom(r) != nil {
			return // plain says why
		}
	}
}

// maxHeader is the most that a frame needs to say what it holds
// (Frame_Header of RFC 8878, with the magic number).
const maxHeader = 18

// begin reads so much of a frame as shows that it can be decompressed by itself,
// or gives what is left where that is something else. At the end the error is
// io.EOF.
func (w *worker) begin(r io.Reader, maxWindow uint64) (rest io.Reader, err error) {
	var read [sizeFrame + maxHeader]byte
	n, err := fill(r, read[:sizeFrame])
	if n == 0 && err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return nil, err
	}
	if size, ok := readSizeFrame(read[:n]); err == nil && ok && size <= maxPacked(frameSize) {
		var k int
		k, err = fill(r, read[sizeFrame:][:min(size, maxHeader)])
		n += k
		if header := read[sizeFrame:n]; err == nil {
			if holds, ok := standsAlone(header, size, maxWindow); ok {
				w.packed.begin(size)
				w.plain.begin(holds)
				w.packed.came(copy(w.packed.b, header))
				return nil, nil
			}
		}
	}
	if err != nil && err != io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(read[:n]), r), nil
}

// standsAlone says that a frame names the size of its contents, that a buffer
// of them is small enough, that it looks back no further, and that the frame is no
// longer than they allow.
func standsAlone(header []byte, size int, maxWindow uint64) (holds int, ok bool) {
	var h zstd.Header
	if err := h.Decode(header); err != nil || h.Skippable || !h.HasFCS {
		return 0, false
	}
	most := min(frameSize, maxWindow)
	if h.FrameContentSize > most || h.WindowSize > most || size > maxPacked(h.FrameContentSize) {
		return 0, false
	}
	return int(h.FrameContentSize), true //nolint:gosec // at most frameSize
}

func (f *frameReader) Read(p []byte) (int, error) {
	b, err := f.take(len(p))
	return copy(p, b), err
}

// take is the next bytes, where they lie: until the next call. They are as many as
// asked for, but for the last ones of a frame, and no more than pieceSize.
func (f *frameReader) take(n int) (b []byte, err error) {
	n = min(n, pieceSize)
	for n > 0 && f.err == nil {
		switch {
		case f.now.stream != nil:
			n, f.err = f.d.stream.Read(f.buf[:n])
			return f.buf[:n], nil
		case f.now.w != nil:
			if b, err = f.now.w.plain.next(n); len(b) > 0 {
				return b, nil
			}
			if err != io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
				f.err = err
				continue
			}
			f.d.workers.put(f.now.w)
		}
		f.begin()
	}
	return nil, f.err
}

// begin goes to what the queue has next.
func (f *frameReader) begin() {
	var ok bool
	if f.now, ok = <-f.queue; !ok {
		f.err = io.EOF
		return
	}
	if f.err = f.now.err; f.err == nil && f.now.stream != nil {
		f.buf = make([]byte, pieceSize)
		f.err = f.d.startStream(f.now.stream)
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
	if f.now.w != nil {
		f.d.workers.put(f.now.w)
	}
	for c := range f.queue { // closed
		f.d.workers.put(c.w)
	}
}

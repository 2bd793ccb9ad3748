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

// maxDecoders bounds how many frames are in memory at the same time. What one
// thread hashes and writes, three decompress (docs/performance.md, "While it comes").
const maxDecoders = 3

func decoders() int { return min(runtime.GOMAXPROCS(0), maxDecoders) }

const (
	// pieceSize is what a worker hands over at once: small, so that it is hashed
	// and written while the next one is decompressed.
	pieceSize = 512 << 10
	// maxPieces is how much of its frame a worker decompresses before anybody
	// reads it: all. Half as much holds it up where the line is slower than it.
	maxPieces = frameSize / pieceSize
)

// MemoryToRead is how many bytes of memory reading a part takes, about. Each frame
// in memory, two with two processors and three with more, takes a window of 32 MiB,
// as much for what is decompressed and not yet read, and an eighth for what it was
// packed to; a frame packed to more takes more. What reads an archive of another
// program takes DefaultMaxWindow at most.
func MemoryToRead() int64 {
	return max(DefaultMaxWindow, int64(decoders())*(2*frameSize+frameSize/8))
}

func newFrameDecoder(o UnpackOptions) *frameDecoder {
	return &frameDecoder{maxWindow: o.withDefaults().MaxWindow, workers: newPool(decoders(), newWorker)}
}

func (d *frameDecoder) Close() {
	for len(d.workers.used) > 0 {
		(<-d.workers.used).z.Close()
	}
	if d.stream != nil {
		d.stream.Close()
	}
}

// worker decompresses one frame at a time.
type worker struct {
	z      *zstd.Decoder
	packed growing
	pieces *pool[[]byte]
}

func newWorker() *worker {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(frameSize))
	if err != nil {
		panic(err) // one of these options is none
	}
	return &worker{z: z, pieces: newPool(maxPieces, func() []byte { return make([]byte, pieceSize) })}
}

// contents are those of one frame, piece by piece, or a stream of all that begins
// there.
type contents struct {
	w      *worker
	pieces chan []byte
	stream io.Reader
	err    error // valid when pieces is closed
}

// decompress ends the pieces of c with the frame, or when quit is closed. It owns
// c.err until then.
func (c *contents) decompress(quit <-chan struct{}) {
	defer close(c.pieces)
	err := c.w.z.Reset(&c.w.packed)
	for err == nil {
		b, ok := c.w.pieces.get(quit)
		if !ok {
			c.err = errStopped
			return
		}
		var n int
		if n, err = fill(c.w.z, b[:pieceSize]); n > 0 {
			c.pieces <- b[:n] // there is room for all
		} else {
			c.w.pieces.put(b)
		}
	}
	if err != io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		c.err = err
	}
}

// open begins to read an archive: the one before must have been stopped. It reads
// r ahead, in a goroutine that stop ends.
func (d *frameDecoder) open(r io.Reader) *frameReader {
	f := &frameReader{d: d, queue: make(chan *contents, cap(d.workers.used)), quit: make(chan struct{})}
	f.running.Go(func() { f.split(aliveReader{r, f.alive}) })
	return f
}

// frameReader is an archive's bytes, decompressed.
type frameReader struct {
	d       *frameDecoder
	queue   chan *contents
	quit    chan struct{}
	running sync.WaitGroup
	list    []byte    // what the archive says is in it; known when the first byte was read
	now     *contents // nil before the first and behind the last
	piece   []byte    // of now, with its whole buffer
	left    []byte    // of piece
	err     error
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
		// The queue and pieces have room for as many as there are.
		c := &contents{w: w, pieces: make(chan []byte, maxPieces), stream: rest, err: err}
		if err != nil || rest != nil {
			close(c.pieces)
			f.queue <- c
			return
		}
		f.queue <- c
		f.running.Go(func() { c.decompress(f.quit) })
		if w.packed.fillFrom(r) != nil {
			return // c says why
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
		if header := read[sizeFrame:n]; err == nil && standsAlone(header, size, maxWindow) {
			w.packed.begin(size)
			w.packed.came(copy(w.packed.b, header), nil)
			return nil, nil
		}
	}
	if err != nil && err != io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(read[:n]), r), nil
}

// standsAlone says that a frame names the size of its contents, that a buffer
// of them is small enough, and that the frame is no longer than they allow.
func standsAlone(header []byte, size int, maxWindow uint64) bool {
	var h zstd.Header
	if err := h.Decode(header); err != nil || h.Skippable || !h.HasFCS {
		return false
	}
	return h.FrameContentSize <= min(frameSize, maxWindow) && size <= maxPacked(h.FrameContentSize)
}

func (f *frameReader) Read(p []byte) (int, error) {
	for {
		switch {
		case len(f.left) > 0:
			n := copy(p, f.left)
			f.left = f.left[n:]
			return n, nil
		case f.err != nil:
			return 0, f.err
		case f.now != nil && f.now.stream != nil:
			return f.d.stream.Read(p)
		}
		f.next()
	}
}

// next makes the next piece the one that is read.
func (f *frameReader) next() {
	if f.now != nil {
		if f.piece != nil {
			f.now.w.pieces.put(f.piece)
			f.piece, f.left = nil, nil
		}
		if piece, ok := <-f.now.pieces; ok {
			f.piece, f.left = piece, piece
			return
		}
		if f.err = f.now.err; f.err != nil {
			return
		}
		f.d.workers.put(f.now.w)
	}
	c, ok := <-f.queue
	if !ok {
		f.now, f.err = nil, io.EOF
		return
	}
	if f.now = c; c.stream != nil {
		f.err = f.d.startStream(c.stream)
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
	if f.piece != nil {
		f.now.w.pieces.put(f.piece)
	}
	f.d.putBack(f.now)
	for c := range f.queue { // closed, and what is in it is finished
		f.d.putBack(c)
	}
}

// putBack takes the worker of contents that nobody reads any more.
func (d *frameDecoder) putBack(c *contents) {
	if c == nil {
		return
	}
	for piece := range c.pieces { // closed
		c.w.pieces.put(piece)
	}
	d.workers.put(c.w)
}

package inspect

import (
	"bufio"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression of an entry's payload, as facts.Image names it.
const (
	compressNone     = "none"
	compressZlib     = "zlib"
	compressLZ4      = "lz4"
	compressLZ4Frame = "lz4-frame"
	compressZstd     = "zstd"
)

const (
	// maxPayload bounds what one compressed payload may claim to become.
	maxPayload = 512 << 20
	// unpackFree and unpackRatio bound what all payloads of a file become, read
	// again or not: so much, and so many times the file's size. cuBLAS asks for
	// less than its size, since little more than heads are read.
	unpackFree  = 64 << 20
	unpackRatio = 16
	// maxZlib bounds how much of a zlib payload is decompressed to find its end.
	maxZlib = 4 << 20
	// maxWindow bounds how far back zstd may refer, and with it the memory.
	maxWindow = 64 << 20
)

// unpacker decompresses one payload at a time. It keeps its decoders, whose
// buffers cost more to make than most prefixes do to decode.
type unpacker struct {
	zstd   *zstd.Decoder
	prefix *zstdHead
	lz4    *lz4Block
	// buf is what head returned last.
	buf []byte
	// budget is how many bytes may still be decompressed of this file.
	budget int64
	src    io.Reader
}

var errBudget = errors.New("too much to decompress")

// Read reads the stream that open began.
func (p *unpacker) Read(b []byte) (int, error) {
	if p.budget <= 0 {
		return 0, errBudget
	}
	n, err := p.src.Read(b[:min(int64(len(b)), p.budget)])
	p.budget -= int64(n)
	return n, err
}

// open streams an entry's payload, decompressed. The stream is good until the
// next call.
func (p *unpacker) open(e *entry) (io.Reader, error) {
	src := e.payload.reader()
	switch e.compression {
	case compressNone:
		return src, nil
	case compressLZ4:
		if p.lz4 == nil {
			p.lz4 = &lz4Block{}
		}
		p.lz4.reset(src)
		p.src = p.lz4
	case compressLZ4Frame:
		p.src = lz4.NewReader(src)
	case compressZlib:
		z, err := zlib.NewReader(src)
		if err != nil {
			return nil, e.damaged(err)
		}
		p.src = z
	case compressZstd:
		if p.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, fmt.Errorf("making a zstd decoder: %w", err)
			}
			p.zstd = z
		}
		if err := p.zstd.Reset(src); err != nil {
			return nil, e.damaged(err)
		}
		p.src = p.zstd
	default:
		return nil, e.payload.fail(0, "a payload compressed in an unknown way")
	}
	return p, nil
}

// damaged says that the payload does not decompress; an error of the file
// itself, such as a bad disk, is passed on.
func (e *entry) damaged(err error) error {
	if errors.Is(err, errBudget) {
		return e.payload.fail(0, "the payloads up to here become more than a file of this size may hold")
	}
	return e.payload.fail(0, "a payload of %d bytes does not decompress as %s: %v", e.payload.size, e.compression, err)
}

// head is up to n bytes of the payload, decompressed. The slice is good until
// the next call.
func (p *unpacker) head(e *entry, n int64) ([]byte, error) {
	if int64(cap(p.buf)) < n {
		p.buf = make([]byte, n)
	}
	buf := p.buf[:n]
	switch e.compression {
	case compressNone:
		b := buf[:min(n, e.payload.size)]
		return b, e.payload.read(b, 0, "a payload")
	case compressZstd:
		if p.prefix == nil {
			p.prefix = &zstdHead{}
		}
		if b, err := p.prefix.decode(e.payload.r, e.payload.off, e.payload.size, int(n)); err == nil {
			return b, nil
		}
	}
	r, err := p.open(e)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadFull(r, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, e.damaged(err)
	}
	return buf[:got], nil
}

// unpadded says whether a zlib stream ends with the last byte of its entry. Entries
// are padded to 8 bytes, so one in eight does. fatbinary of CUDA 11.8 leaves the
// padding within the payload, that of 12.4 says how long the stream is.
func (p *unpacker) unpadded(e *entry) (bool, error) {
	if e.payload.size < e.stored {
		return false, nil
	}
	src := bufio.NewReader(e.payload.reader())
	z, err := zlib.NewReader(src)
	if err != nil {
		return false, e.damaged(err)
	}
	limit := min(maxZlib, p.budget)
	n, err := io.Copy(io.Discard, io.LimitReader(z, limit))
	if p.budget -= n; err == nil && n == limit && limit < maxZlib {
		err = errBudget
	}
	if err != nil {
		return false, e.damaged(err)
	}
	if n == limit {
		return false, nil // too large to be told here
	}
	_, err = src.ReadByte()
	return errors.Is(err, io.EOF), nil
}

// whole is the payload as a window. A compressed one is never held as a whole:
// whoever reads backwards has it decompressed again from its start.
func (p *unpacker) whole(e *entry) region {
	if e.compression == compressNone {
		return e.payload
	}
	size := min(e.plain, maxPayload)
	if size == 0 {
		size = maxPayload // it does not say; the end shows itself
	}
	return region{r: &packed{p: p, e: e}, file: e.payload.file, size: int64(size), shown: e.payload.shown}
}

// frontBytes is how much of the start of a compressed payload is kept.
const frontBytes = 64 << 10

// packed reads a compressed payload at any place. It is good as long as no other
// payload is opened.
type packed struct {
	p     *unpacker
	e     *entry
	r     io.Reader
	pos   int64
	front []byte
}

func (z *packed) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) <= int64(len(z.front)) {
		return copy(b, z.front[off:]), nil
	}
	if z.r == nil || off < z.pos {
		r, err := z.p.open(z.e)
		if err != nil {
			return 0, err
		}
		z.r, z.pos = r, 0
		if z.front == nil {
			if z.front, err = io.ReadAll(io.LimitReader(r, frontBytes)); err != nil {
				return 0, z.e.damaged(err)
			}
			z.pos = int64(len(z.front))
			return z.ReadAt(b, off)
		}
	}
	n, err := io.CopyN(io.Discard, z.r, off-z.pos)
	if z.pos += n; err == nil {
		n, err := io.ReadFull(z.r, b)
		z.pos += int64(n)
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return n, end(err)
		}
		return n, z.e.damaged(err)
	}
	if errors.Is(err, io.EOF) {
		return 0, io.EOF
	}
	return 0, z.e.damaged(err)
}

// end is what io.ReaderAt says of a short read.
func end(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

package inspect

import (
	"bytes"
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

// maxPayload bounds what one compressed payload may become in memory.
const maxPayload = 512 << 20

// maxRatio bounds the room made beforehand; what is really larger still grows.
const maxRatio = 64

// maxWindow bounds how far back zstd may refer, and with it the memory for a
// prefix.
const maxWindow = 64 << 20

// unpacker decompresses one payload at a time. It keeps the zstd decoder, whose
// buffers cost more to make than most prefixes do to decode.
type unpacker struct{ zstd *zstd.Decoder }

// open streams an entry's payload, decompressed. The stream is good until the
// next call.
func (p *unpacker) open(e *entry) (io.Reader, error) {
	src := e.payload.reader()
	switch e.compression {
	case compressNone:
		return src, nil
	case compressLZ4:
		return newLZ4Block(src), nil
	case compressLZ4Frame:
		return lz4.NewReader(src), nil
	case compressZlib:
		z, err := zlib.NewReader(src)
		if err != nil {
			return nil, e.damaged(err)
		}
		return z, nil
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
		return p.zstd, nil
	}
	return nil, e.payload.fail(0, "a payload compressed in an unknown way")
}

// damaged says that the payload does not decompress; an error of the file
// itself, such as a bad disk, is passed on.
func (e *entry) damaged(err error) error {
	return e.payload.fail(0, "a payload of %d bytes does not decompress as %s: %v", e.payload.size, e.compression, err)
}

// head is up to n bytes of the payload, decompressed.
func (p *unpacker) head(e *entry, n int64) ([]byte, error) {
	if e.compression == compressNone {
		return e.payload.prefix(n)
	}
	r, err := p.open(e)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	got, err := io.ReadFull(r, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, e.damaged(err)
	}
	return buf[:got], nil
}

// whole is the payload as a window, decompressed in memory where it must be.
func (p *unpacker) whole(e *entry) (region, error) {
	if e.compression == compressNone {
		return e.payload, nil
	}
	r, err := p.open(e)
	if err != nil {
		return region{}, err
	}
	var b bytes.Buffer
	// A false claim gets no more room than maxRatio times what is there.
	b.Grow(int(min(e.plain, uint64(e.payload.size)*maxRatio, maxPayload)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r, maxPayload+1))
	if err != nil {
		return region{}, e.damaged(err)
	}
	if n > maxPayload {
		return region{}, e.payload.fail(0, "a payload of %d bytes becomes more than %d when decompressed", e.payload.size, maxPayload)
	}
	return region{r: bytes.NewReader(b.Bytes()), file: e.payload.file, size: n, shown: e.payload.shown}, nil
}

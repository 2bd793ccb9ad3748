//go:build cgo && linux && (amd64 || arm64)

package bundles

/*
#include <stddef.h>

// As in zstd_cgo.go, what decompresses.
typedef struct ZSTD_DCtx_s ZSTD_DCtx;
typedef struct { void *dst; size_t size, pos; } ZSTD_outBuffer;
typedef struct { const void *src; size_t size, pos; } ZSTD_inBuffer;
ZSTD_DCtx *ZSTD_createDCtx(void);
size_t ZSTD_freeDCtx(ZSTD_DCtx *);
size_t ZSTD_DCtx_reset(ZSTD_DCtx *, int);
size_t ZSTD_DCtx_setParameter(ZSTD_DCtx *, int, int);
size_t ZSTD_decompressStream(ZSTD_DCtx *, ZSTD_outBuffer *, ZSTD_inBuffer *);

// llcuda_unstep puts what in gives behind the first at bytes of out, which has room for all
// of the frame; taken and given say how much. It is 0 at the end of the frame.
static size_t llcuda_unstep(ZSTD_DCtx *z, void *out, size_t room, size_t at, const void *in, size_t n, size_t *taken, size_t *given) {
	ZSTD_outBuffer o = {out, room, at};
	ZSTD_inBuffer i = {in, n, 0};
	size_t left = ZSTD_decompressStream(z, &o, &i);
	*taken = i.pos;
	*given = o.pos - at;
	return left;
}
*/
import "C"

import (
	"io"
	"runtime"
	"unsafe"
)

// Parameters of ZSTD_DCtx_setParameter and ZSTD_DCtx_reset. zstdStableOut is not
// part of the ABI (ZSTD_d_stableOutBuffer in zstd.h: experimental), so libzstd's
// version, which go.mod pins, decides whether there is one.
const (
	zstdStableOut    = 1001
	zstdResetSession = 1
)

// unstepSize is what is handed to libzstd at once to decompress: of CUDA code packed
// to an eighth or ninth, some half MiB.
const unstepSize = 64 << 10

// frameWindow is what a frameUnpacker needs beside a frame's contents: it looks
// back in those.
const frameWindow = 0

// libzstdUnpacker writes contents where they stay, which spares a window and the
// way out of it.
type libzstdUnpacker struct{ z *C.ZSTD_DCtx }

func newFrameUnpacker() frameUnpacker {
	z := C.ZSTD_createDCtx()
	if z == nil {
		panic("libzstd: no memory for a decoder")
	}
	if err := zstdError(C.ZSTD_DCtx_setParameter(z, zstdStableOut, 1)); err != nil {
		panic(err) // another libzstd than go.mod's
	}
	return libzstdUnpacker{z}
}

func (u libzstdUnpacker) close() { C.ZSTD_freeDCtx(u.z) }

func (u libzstdUnpacker) unpack(packed, plain *growing, alive func() error) error {
	if err := zstdError(C.ZSTD_DCtx_reset(u.z, zstdResetSession)); err != nil {
		return err
	}
	var none [1]byte // an address for nothing
	out := &none[0]
	if len(plain.b) > 0 {
		out = &plain.b[0]
	}
	// Between two steps libzstd keeps the address of what it wrote: it looks back
	// there.
	var pin runtime.Pinner
	pin.Pin(out)
	defer pin.Unpin()
	for {
		if err := alive(); err != nil {
			return err
		}
		in, err := packed.next(unstepSize)
		if err != nil {
			return unexpectedEOF(err)
		}
		for len(in) > 0 {
			var taken, given C.size_t
			left := C.llcuda_unstep(u.z, unsafe.Pointer(out), C.size_t(len(plain.b)), C.size_t(plain.have),
				unsafe.Pointer(&in[0]), C.size_t(len(in)), &taken, &given)
			if err := zstdError(left); err != nil {
				return err
			}
			plain.came(int(given))
			if in = in[taken:]; left == 0 {
				return endOf(in, packed)
			}
		}
	}
}

// endOf says what is wrong behind the end of a frame, of which in was not needed.
func endOf(in []byte, packed *growing) error {
	more, err := packed.next(1)
	if len(in) > 0 || len(more) > 0 {
		return errTooMuch
	}
	if err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return nil
	}
	return err
}

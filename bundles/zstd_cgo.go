//go:build cgo && linux && (amd64 || arm64)

package bundles

/*
#include <stddef.h>
#include <stdlib.h>

// libzstd's stable interface, as far as it is used here: what github.com/DataDog/zstd
// compiles and links. Its own Go interface sets neither a window nor workers' jobs.
typedef struct ZSTD_CCtx_s ZSTD_CCtx;
typedef struct { void *dst; size_t size, pos; } ZSTD_outBuffer;
typedef struct { const void *src; size_t size, pos; } ZSTD_inBuffer;
ZSTD_CCtx *ZSTD_createCCtx(void);
size_t ZSTD_freeCCtx(ZSTD_CCtx *);
size_t ZSTD_CCtx_setParameter(ZSTD_CCtx *, int, int);
size_t ZSTD_compressStream2(ZSTD_CCtx *, ZSTD_outBuffer *, ZSTD_inBuffer *, int);
unsigned ZSTD_isError(size_t);
const char *ZSTD_getErrorName(size_t);

// step takes what it can of in and gives what there is; taken and given say how much.
static size_t llcuda_step(ZSTD_CCtx *z, void *out, size_t room, const void *in, size_t n, int end, size_t *taken, size_t *given) {
	ZSTD_outBuffer o = {out, room, 0};
	ZSTD_inBuffer i = {in, n, 0};
	size_t left = ZSTD_compressStream2(z, &o, &i, end);
	*taken = i.pos;
	*given = o.pos;
	return left;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	_ "github.com/DataDog/zstd" // libzstd itself, with threads
)

// ErrNoLibzstd says that this program was built without cgo: it can open and
// unpack bundles, not pack them.
var ErrNoLibzstd = errors.New("this program was built without libzstd (cgo) and can not pack")

// Parameters of ZSTD_CCtx_setParameter, part of libzstd's ABI.
const (
	zstdLevel     = 100
	zstdWindowLog = 101
	zstdWorkers   = 400
)

const (
	zstdContinue = 0
	zstdEnd      = 2
)

// zstdBuffer is what is handed to libzstd, and taken from it, at once.
const zstdBuffer = 1 << 20

// libzstd is a stream of real libzstd, statically linked. Its version decides
// the bytes of a part, so it is pinned in go.mod.
type libzstd struct {
	w       io.Writer
	z       *C.ZSTD_CCtx
	in, out unsafe.Pointer
	held    int
}

// newCompressor starts a stream. How libzstd cuts its input into jobs follows from
// level and window, and decides the bytes; how many of them run at once does not.
func newCompressor(w io.Writer, p compression) (compressor, error) {
	c := &libzstd{w: w, z: C.ZSTD_createCCtx(), in: C.malloc(zstdBuffer), out: C.malloc(zstdBuffer)}
	for _, set := range []struct{ what, value int }{
		{zstdLevel, p.level}, {zstdWindowLog, p.windowLog}, {zstdWorkers, p.workers},
	} {
		if err := zstdError(C.ZSTD_CCtx_setParameter(c.z, C.int(set.what), C.int(set.value))); err != nil {
			c.Release()
			return nil, fmt.Errorf("libzstd parameter %d: %w", set.what, err)
		}
	}
	return c, nil
}

func zstdError(code C.size_t) error {
	if C.ZSTD_isError(code) == 0 {
		return nil
	}
	return fmt.Errorf("libzstd: %s", C.GoString(C.ZSTD_getErrorName(code)))
}

func (c *libzstd) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		took := copy(unsafe.Slice((*byte)(c.in), zstdBuffer)[c.held:], p[n:])
		c.held, n = c.held+took, n+took
		if c.held == zstdBuffer {
			if err := c.drain(zstdContinue); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Close ends the stream.
func (c *libzstd) Close() error { return c.drain(zstdEnd) }

// drain hands what is held to libzstd and writes what it gives, to the end of
// the stream where that is asked for.
func (c *libzstd) drain(end C.int) error {
	for at := 0; ; {
		var taken, given C.size_t
		left := C.llcuda_step(c.z, c.out, zstdBuffer, unsafe.Add(c.in, at), C.size_t(c.held-at), end, &taken, &given)
		if err := zstdError(left); err != nil {
			return err
		}
		if _, err := c.w.Write(unsafe.Slice((*byte)(c.out), zstdBuffer)[:given]); err != nil {
			return err
		}
		at += int(taken)
		if at == c.held && (end == zstdContinue || left == 0) {
			c.held = 0
			return nil
		}
	}
}

// Release frees libzstd's memory.
func (c *libzstd) Release() {
	C.ZSTD_freeCCtx(c.z)
	C.free(c.in)
	C.free(c.out)
	c.z, c.in, c.out = nil, nil, nil
}

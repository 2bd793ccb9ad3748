//go:build cgo && linux && (amd64 || arm64)

package bundles

/*
#include <stddef.h>

// libzstd's stable interface, as far as it is used here: what github.com/DataDog/zstd
// compiles and links. Its own Go interface sets no parameter but the level.
typedef struct ZSTD_CCtx_s ZSTD_CCtx;
typedef struct { void *dst; size_t size, pos; } ZSTD_outBuffer;
typedef struct { const void *src; size_t size, pos; } ZSTD_inBuffer;
ZSTD_CCtx *ZSTD_createCCtx(void);
size_t ZSTD_freeCCtx(ZSTD_CCtx *);
size_t ZSTD_CCtx_setParameter(ZSTD_CCtx *, int, int);
size_t ZSTD_CCtx_setPledgedSrcSize(ZSTD_CCtx *, unsigned long long);
size_t ZSTD_compressStream2(ZSTD_CCtx *, ZSTD_outBuffer *, ZSTD_inBuffer *, int);
unsigned ZSTD_isError(size_t);
const char *ZSTD_getErrorName(size_t);
const char *ZSTD_versionString(void);

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
	"unsafe"

	_ "github.com/DataDog/zstd" // libzstd itself
)

// ErrNoLibzstd says that this program was built without cgo: it can open and
// unpack bundles, not pack them.
var ErrNoLibzstd = errors.New("this program was built without libzstd (cgo) and can not pack")

// Parameters of ZSTD_CCtx_setParameter, part of libzstd's ABI.
const (
	zstdLevel     = 100
	zstdWindowLog = 101
	zstdChecksum  = 201
)

const (
	zstdContinue = 0
	zstdEnd      = 2
)

// zstdStep is what is handed to libzstd, and taken from it, at once: after
// each step the caller is asked whether it still wants the rest.
const zstdStep = 1 << 20

// compress makes one frame of in, which says how long it is, with one thread.
// libzstd's version decides its bytes, so it is pinned in go.mod.
func compress(alive func() error, in []byte, p compression) ([]byte, error) {
	z := C.ZSTD_createCCtx()
	defer C.ZSTD_freeCCtx(z)
	for _, set := range [][2]int{{zstdLevel, p.level}, {zstdWindowLog, p.windowLog}, {zstdChecksum, 1}} {
		if err := zstdError(C.ZSTD_CCtx_setParameter(z, C.int(set[0]), C.int(set[1]))); err != nil {
			return nil, fmt.Errorf("libzstd parameter %d: %w", set[0], err)
		}
	}
	if err := zstdError(C.ZSTD_CCtx_setPledgedSrcSize(z, C.ulonglong(len(in)))); err != nil {
		return nil, err
	}
	var (
		frame []byte
		out   = make([]byte, zstdStep)
		none  [1]byte // an address for nothing
	)
	for at := 0; ; {
		if err := alive(); err != nil {
			return nil, err
		}
		next, end := in[at:], C.int(zstdEnd)
		if len(next) > zstdStep {
			next, end = next[:zstdStep], zstdContinue
		}
		from := &none[0]
		if len(next) > 0 {
			from = &next[0]
		}
		var taken, given C.size_t
		left := C.llcuda_step(z, unsafe.Pointer(&out[0]), zstdStep, unsafe.Pointer(from), C.size_t(len(next)), end, &taken, &given)
		if err := zstdError(left); err != nil {
			return nil, err
		}
		frame, at = append(frame, out[:given]...), at+int(taken)
		if end == zstdEnd && left == 0 {
			return frame, nil
		}
	}
}

func libzstdVersion() string { return C.GoString(C.ZSTD_versionString()) }

func zstdError(code C.size_t) error {
	if C.ZSTD_isError(code) == 0 {
		return nil
	}
	return fmt.Errorf("libzstd: %s", C.GoString(C.ZSTD_getErrorName(code)))
}

//go:build cgo && linux && (amd64 || arm64)

package bundles

import (
	"errors"
	"io"

	"github.com/valyala/gozstd"
)

// ErrNoLibzstd says that this program was built without cgo: it can open and
// unpack bundles, not pack them.
var ErrNoLibzstd = errors.New("this program was built without libzstd (cgo) and can not pack")

// newCompressor is real libzstd, statically linked. Its version decides the
// bytes of a part, so it is pinned in go.mod.
func newCompressor(w io.Writer, level, windowLog int) (compressor, error) {
	return gozstd.NewWriterParams(w, &gozstd.WriterParams{CompressionLevel: level, WindowLog: windowLog}), nil
}

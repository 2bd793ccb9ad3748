//go:build !(cgo && linux && (amd64 || arm64))

package bundles

import (
	"errors"
	"io"
)

// ErrNoLibzstd says that this program was built without cgo: it can open and
// unpack bundles, not pack them.
var ErrNoLibzstd = errors.New("this program was built without libzstd (cgo) and can not pack")

func newCompressor(io.Writer, compression) (compressor, error) { return nil, ErrNoLibzstd }

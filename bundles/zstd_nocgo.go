//go:build !(cgo && linux && (amd64 || arm64))

package bundles

import "errors"

// ErrNoLibzstd says that this program was built without cgo: it can open and
// unpack bundles, not pack them.
var ErrNoLibzstd = errors.New("this program was built without libzstd (cgo) and can not pack")

func compress(func() error, []byte, compression) ([]byte, error) { return nil, ErrNoLibzstd }

func libzstdVersion() string { return "none" }

func newFrameUnpacker() frameUnpacker { return newGoUnpacker() }

// frameWindow is what a frameUnpacker needs beside a frame's contents.
const frameWindow = frameSize

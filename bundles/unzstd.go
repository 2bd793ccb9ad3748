package bundles

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// frameUnpacker decompresses one frame after the other, each while it comes.
type frameUnpacker interface {
	// unpack decompresses packed, which is one frame, into plain, whose size is
	// what the frame says it holds, and checks its checksum. It ends neither.
	unpack(packed, plain *growing, alive func() error) error
	close()
}

// errTooMuch says that a frame of ours holds more than it says.
var errTooMuch = errors.New("a frame holds more than it says")

// goUnpacker is what a program without libzstd has. It decompresses about as fast,
// but into a window of its own, from which all is copied.
type goUnpacker struct{ z *zstd.Decoder }

func newGoUnpacker() frameUnpacker {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(frameSize))
	if err != nil {
		panic(err) // one of these options is none
	}
	return goUnpacker{z}
}

func (u goUnpacker) close() { u.z.Close() }

func (u goUnpacker) unpack(packed, plain *growing, alive func() error) error {
	if err := u.z.Reset(packed); err != nil {
		return err
	}
	for {
		if err := alive(); err != nil {
			return err
		}
		room := plain.room(pieceSize)
		if len(room) == 0 { // what follows is the checksum
			var more [1]byte
			room = more[:]
		}
		n, err := fill(u.z, room)
		if n > 0 && plain.full() {
			return errTooMuch
		}
		plain.came(n)
		switch {
		case err == io.EOF && plain.full(): //nolint:errorlint // the end itself: a reader that fails may wrap it
			return nil
		case err != nil:
			return unexpectedEOF(err)
		}
	}
}

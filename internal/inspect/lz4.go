package inspect

import (
	"bufio"
	"errors"
	"io"
)

// lz4Window is how far back an LZ4 match may reach.
const lz4Window = 64 << 10

var errLZ4 = errors.New("damaged LZ4 block")

// lz4Block streams one LZ4 block. The libraries decode a block only into a
// buffer for all of it; here the first kilobytes are wanted of payloads of many
// megabytes, and foreign bytes must not say how much is allocated.
type lz4Block struct {
	src *bufio.Reader
	// buf holds the window and, from rd on, what was not yet read.
	buf []byte
	rd  int
	// literals and match are what is left of the sequence at hand.
	literals, match, offset int
	token                   byte
	state                   func(*lz4Block) error
	err                     error
}

func newLZ4Block(r io.Reader) *lz4Block {
	return &lz4Block{src: bufio.NewReaderSize(r, 16<<10), state: (*lz4Block).readToken}
}

func (z *lz4Block) Read(p []byte) (int, error) {
	for z.rd == len(z.buf) {
		if z.err != nil {
			return 0, z.err
		}
		if len(z.buf) >= 3*lz4Window {
			n := copy(z.buf, z.buf[len(z.buf)-lz4Window:])
			z.buf, z.rd = z.buf[:n], n
		}
		// Each step adds at most one window.
		for z.err == nil && len(z.buf)-z.rd < lz4Window/4 {
			z.err = z.state(z)
		}
	}
	n := copy(p, z.buf[z.rd:])
	z.rd += n
	return n, nil
}

func (z *lz4Block) readToken() error {
	t, err := z.src.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	z.token = t
	if z.literals, err = z.length(int(t >> 4)); err != nil {
		return err
	}
	z.state = (*lz4Block).copyLiterals
	return nil
}

// copyLiterals copies plain bytes; a block ends after the literals of its last
// sequence.
func (z *lz4Block) copyLiterals() error {
	n := min(z.literals, lz4Window/4)
	start := len(z.buf)
	z.buf = append(z.buf, make([]byte, n)...)
	if got, err := io.ReadFull(z.src, z.buf[start:]); err != nil {
		z.buf = z.buf[:start+got]
		return noEOF(err)
	}
	if z.literals -= n; z.literals > 0 {
		return nil
	}
	lo, err := z.src.ReadByte()
	if err != nil {
		return err // io.EOF here is the end of the block
	}
	hi, err := z.src.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	z.offset = int(lo) | int(hi)<<8
	if z.offset == 0 || z.offset > len(z.buf) {
		return errLZ4
	}
	if z.match, err = z.length(int(z.token & 15)); err != nil {
		return err
	}
	z.match += 4
	z.state = (*lz4Block).copyMatch
	return nil
}

func (z *lz4Block) copyMatch() error {
	for n := min(z.match, lz4Window/4); n > 0; n-- {
		z.buf = append(z.buf, z.buf[len(z.buf)-z.offset])
		z.match--
	}
	if z.match == 0 {
		z.state = (*lz4Block).readToken
	}
	return nil
}

func (z *lz4Block) length(n int) (int, error) {
	if n < 15 {
		return n, nil
	}
	for {
		b, err := z.src.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		if n += int(b); n > 1<<30 {
			return 0, errLZ4
		}
		if b != 255 {
			return n, nil
		}
	}
}

// noEOF: the end of the input in the midst of something is damage.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package inspect

import (
	"errors"
	"io"
)

const (
	// lz4Window is how far back an LZ4 match may reach.
	lz4Window = 64 << 10
	// lz4Keep is how long what was decoded may become before all but a window
	// of it is thrown away.
	lz4Keep = 4 * lz4Window
	// lz4First is how much is read of a block at first, each time four times more
	// up to lz4Read: mostly a head is wanted.
	lz4First = 1 << 10
	lz4Read  = 64 << 10
)

var errLZ4 = errors.New("damaged LZ4 block")

// lz4Block streams one LZ4 block. The libraries decode a block only into a
// buffer for all of it; here the first kilobytes are wanted of payloads of many
// megabytes, and foreign bytes must not say how much is allocated.
type lz4Block struct {
	src io.Reader
	// in[at:] was read and not yet used.
	in  []byte
	at  int
	eof bool
	// buf holds the window and, from rd on, what was not yet read.
	buf []byte
	rd  int
	// literals and match are what is left of the sequence at hand.
	literals, match, offset int
	token                   byte
	state                   lz4State
	err                     error
}

type lz4State byte

const (
	lz4Token lz4State = iota
	lz4Literals
	lz4Match
)

func newLZ4Block(r io.Reader) *lz4Block {
	z := &lz4Block{}
	z.reset(r)
	return z
}

// reset begins another block with the same buffers.
func (z *lz4Block) reset(r io.Reader) {
	*z = lz4Block{src: r, in: z.in[:0], buf: z.buf[:0]}
}

func (z *lz4Block) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.rd == len(z.buf) {
		if z.err != nil {
			return 0, z.err
		}
		if len(z.buf) >= lz4Keep-lz4Window {
			n := copy(z.buf, z.buf[len(z.buf)-lz4Window:])
			z.buf, z.rd = z.buf[:n], n
		}
		// Each step adds at most a quarter of a window.
		for want := min(len(p), lz4Window); z.err == nil && len(z.buf)-z.rd < want; {
			z.err = z.step()
		}
	}
	n := copy(p, z.buf[z.rd:])
	z.rd += n
	return n, nil
}

func (z *lz4Block) step() error {
	switch z.state {
	case lz4Literals:
		return z.copyLiterals()
	case lz4Match:
		z.copyMatch()
		return nil
	}
	t, err := z.next()
	if err != nil {
		return noEOF(err)
	}
	z.token = t
	if z.literals, err = z.length(int(t >> 4)); err != nil {
		return err
	}
	z.state = lz4Literals
	return nil
}

// fill reads more of the block; io.EOF means there is no more.
func (z *lz4Block) fill() error {
	if z.eof {
		return io.EOF
	}
	if cap(z.in) == 0 {
		z.in = make([]byte, 0, lz4Read)
	}
	n := lz4First
	if len(z.in) > 0 {
		n = min(4*len(z.in), lz4Read)
	}
	n, err := io.ReadFull(z.src, z.in[:n])
	z.in, z.at = z.in[:n], 0
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		z.eof = true
		if n > 0 {
			return nil
		}
		return io.EOF
	}
	return err
}

func (z *lz4Block) next() (byte, error) {
	if z.at == len(z.in) {
		if err := z.fill(); err != nil {
			return 0, err
		}
	}
	z.at++
	return z.in[z.at-1], nil
}

// copyLiterals copies plain bytes; a block ends after the literals of its last
// sequence.
func (z *lz4Block) copyLiterals() error {
	if z.literals > 0 {
		if z.at == len(z.in) {
			if err := z.fill(); err != nil {
				return noEOF(err)
			}
		}
		n := min(z.literals, lz4Window/4, len(z.in)-z.at)
		z.buf = append(z.buf, z.in[z.at:z.at+n]...)
		z.at += n
		if z.literals -= n; z.literals > 0 {
			return nil
		}
	}
	lo, err := z.next()
	if err != nil {
		return err // io.EOF here is the end of the block
	}
	hi, err := z.next()
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
	z.state = lz4Match
	return nil
}

// copyMatch repeats what stands offset bytes back, which may run into what it
// adds.
func (z *lz4Block) copyMatch() {
	left := min(z.match, lz4Window/4)
	z.match -= left
	for from := len(z.buf) - z.offset; left > 0; {
		n := min(left, len(z.buf)-from) // twice as much each time
		z.buf = append(z.buf, z.buf[from:from+n]...)
		left -= n
	}
	if z.match == 0 {
		z.state = lz4Token
	}
}

func (z *lz4Block) length(n int) (int, error) {
	if n < 15 {
		return n, nil
	}
	for {
		b, err := z.next()
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

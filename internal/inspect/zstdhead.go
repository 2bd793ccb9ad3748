package inspect

import (
	"errors"
	"io"
	"math/bits"
)

// zstdHead decodes the first bytes of a zstd frame (RFC 8878). The libraries
// decode a block as a whole, mostly 128 KB, where the first hundred bytes are
// wanted: that would be nearly all the time that reading a library of CUDA 13
// takes. It knows the first block of a plain frame; for whatever else, damage
// included, it gives up and the library is asked.
type zstdHead struct {
	in  []byte
	out []byte
	// literals are the first of the block's.
	literals []byte
	huffman  [1 << zstdMaxHuffman]huffmanCode
	weights  [256]byte
	tables   [3]fseTable
}

const (
	zstdMagic      = 0xfd2fb528
	zstdMaxHuffman = 11
	zstdMaxBlock   = 128 << 10
)

// errZstdHead means: ask the library.
var errZstdHead = errors.New("not a zstd frame's plain first block")

type huffmanCode struct{ symbol, bits byte }

// fseTable decodes one kind of code.
type fseTable struct {
	log   int
	cells [512]fseCell
}

type fseCell struct {
	symbol, bits byte
	base         uint16
}

// bitReader reads bits from the end of b; there are left of them. Beyond the
// start it reads zeros, and left goes below zero.
type bitReader struct {
	b    []byte
	left int
}

func newBitReader(b []byte) (bitReader, bool) {
	if len(b) == 0 || b[len(b)-1] == 0 {
		return bitReader{}, false
	}
	return bitReader{b, 8*len(b) - 1 - bits.LeadingZeros8(b[len(b)-1])}, true
}

// peek is the next n bits, at most 32.
func (r *bitReader) peek(n int) uint32 {
	from := r.left - n
	if from < 0 {
		if r.left <= 0 {
			return 0
		}
		short := bitReader{r.b, r.left}
		return short.peek(r.left) << uint(-from)
	}
	at := from >> 3
	var v uint64
	switch {
	case at+8 <= len(r.b):
		v = le.Uint64(r.b[at:])
	case len(r.b) >= 8:
		v = le.Uint64(r.b[len(r.b)-8:]) >> uint(8*(at+8-len(r.b)))
	default:
		for i, c := range r.b[at:] {
			v |= uint64(c) << (8 * i)
		}
	}
	return uint32(v >> uint(from&7) & (1<<uint(n) - 1))
}

func (r *bitReader) read(n int) uint32 {
	v := r.peek(n)
	r.left -= n
	return v
}

// decode returns up to n bytes of what the frame becomes. The slice is good
// until the next call.
func (z *zstdHead) decode(r io.ReaderAt, off, size int64, n int) ([]byte, error) {
	b, first, err := z.block(r, off, size)
	if err != nil {
		return nil, err
	}
	z.out = z.out[:0]
	switch kind := first >> 1 & 3; kind {
	case 0:
		z.out = append(z.out, b[:min(n, len(b))]...)
	case 1:
		for range min(n, int(first>>3)) {
			z.out = append(z.out, b[0])
		}
	case 2:
		if err := z.compressed(b, n); err != nil {
			return nil, err
		}
	default:
		return nil, errZstdHead
	}
	if len(z.out) < n && first&1 == 0 {
		return nil, errZstdHead // the next block has the rest
	}
	return z.out[:min(n, len(z.out))], nil
}

// block reads the frame's header and its first block, whose own header is first.
func (z *zstdHead) block(r io.ReaderAt, off, size int64) (b []byte, first uint32, err error) {
	const most = 18 + 3
	if cap(z.in) == 0 {
		z.in = make([]byte, zstdMaxBlock+most)
	}
	got := min(size, most)
	if n, err := r.ReadAt(z.in[:got], off); int64(n) < got && err != nil {
		return nil, 0, errZstdHead
	}
	b = z.in[:got]
	if len(b) < most || le.Uint32(b) != zstdMagic || b[4]&0x08 != 0 {
		return nil, 0, errZstdHead
	}
	flags := b[4]
	at := 5
	single := flags>>5&1 == 1
	if !single {
		at++
	}
	at += [4]int{0, 1, 2, 4}[flags&3] + [4]int{0, 2, 4, 8}[flags>>6]
	if flags>>6 == 0 && single {
		at++
	}
	first = uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
	length := int64(first >> 3)
	if first>>1&3 == 1 {
		length = 1
	}
	end := int64(at) + 3 + length
	if length > zstdMaxBlock || end > size || first>>1&3 != 1 && length == 0 {
		return nil, 0, errZstdHead
	}
	if end > got {
		if n, err := r.ReadAt(z.in[got:end], off+got); int64(n) < end-got && err != nil {
			return nil, 0, errZstdHead
		}
	}
	return z.in[at+3 : end], first, nil
}

// compressed decodes a block until there are n bytes.
func (z *zstdHead) compressed(b []byte, n int) error {
	rest, count, err := z.readLiterals(b, n)
	if err != nil {
		return err
	}
	b = rest
	if len(b) == 0 {
		return errZstdHead
	}
	sequences := int(b[0])
	switch {
	case sequences == 0:
		z.out = append(z.out, z.literals...)
		return nil
	case sequences < 128:
		b = b[1:]
	case sequences < 255 && len(b) >= 2:
		sequences, b = (sequences-128)<<8+int(b[1]), b[2:]
	case len(b) >= 3:
		sequences, b = int(b[1])+int(b[2])<<8+0x7f00, b[3:]
	default:
		return errZstdHead
	}
	if len(b) == 0 {
		return errZstdHead
	}
	modes := b[0]
	b = b[1:]
	for i := range z.tables {
		if b, err = z.tables[i].read(int(modes>>(6-2*i)&3), zstdCodes[i], b); err != nil {
			return err
		}
	}
	return z.run(b, sequences, count, n)
}

// run executes sequences. count is how many literals the block has, of which the
// first are there.
func (z *zstdHead) run(b []byte, sequences, count, n int) error {
	r, ok := newBitReader(b)
	if !ok {
		return errZstdHead
	}
	lengths, offsets, matches := &z.tables[0], &z.tables[1], &z.tables[2]
	ll, of, ml := r.read(lengths.log), r.read(offsets.log), r.read(matches.log)
	repeated := [3]int{1, 4, 8}
	used := 0
	for i := range sequences {
		l, o, m := lengths.cells[ll], offsets.cells[of], matches.cells[ml]
		if int(l.symbol) >= len(lengthCodes) || int(m.symbol) >= len(matchCodes) || o.symbol > 27 {
			return errZstdHead
		}
		value := 1<<o.symbol + int(r.read(int(o.symbol)))
		match := int(matchCodes[m.symbol].base) + int(r.read(int(matchCodes[m.symbol].bits)))
		literals := int(lengthCodes[l.symbol].base) + int(r.read(int(lengthCodes[l.symbol].bits)))
		if i < sequences-1 {
			ll = uint32(l.base) + r.read(int(l.bits))
			ml = uint32(m.base) + r.read(int(m.bits))
			of = uint32(o.base) + r.read(int(o.bits))
		}
		if r.left < 0 || used+literals > count {
			return errZstdHead
		}
		z.out = append(z.out, z.literals[min(used, len(z.literals)):min(used+literals, len(z.literals))]...)
		if used += literals; len(z.out) >= n {
			return nil
		}
		offset := distance(value, literals, &repeated)
		if offset <= 0 || offset > len(z.out) {
			return errZstdHead
		}
		match = min(match, n-len(z.out))
		for from := len(z.out) - offset; match > 0; {
			k := min(match, len(z.out)-from)
			z.out = append(z.out, z.out[from:from+k]...)
			match -= k
		}
		if len(z.out) >= n {
			return nil
		}
	}
	z.out = append(z.out, z.literals[min(used, len(z.literals)):]...)
	return nil
}

// distance is how far back a match lies; the last three are remembered.
func distance(value, literals int, last *[3]int) int {
	if value > 3 {
		last[2], last[1], last[0] = last[1], last[0], value-3
		return last[0]
	}
	i := value - 1
	if literals == 0 {
		i++
	}
	if i == 0 {
		return last[0]
	}
	d := last[0] - 1
	if i < 3 {
		d = last[i]
	}
	if i > 1 {
		last[2] = last[1]
	}
	last[1], last[0] = last[0], d
	return d
}

// readLiterals decodes the first n literals and returns what follows the section,
// and how many there are.
func (z *zstdHead) readLiterals(b []byte, n int) (rest []byte, count int, err error) {
	if len(b) < 5 {
		return nil, 0, errZstdHead
	}
	kind, format := b[0]&3, b[0]>>2&3
	if kind < 2 {
		var at int
		switch format {
		case 1:
			count, at = int(b[0])>>4|int(b[1])<<4, 2
		case 3:
			count, at = int(b[0])>>4|int(b[1])<<4|int(b[2])<<12, 3
		default:
			count, at = int(b[0])>>3, 1
		}
		b = b[at:]
		z.literals = z.literals[:0]
		if kind == 0 {
			if count > len(b) {
				return nil, 0, errZstdHead
			}
			z.literals = append(z.literals, b[:min(n, count)]...)
			return b[count:], count, nil
		}
		for range min(n, count) {
			z.literals = append(z.literals, b[0])
		}
		return b[1:], count, nil
	}
	if kind == 3 {
		return nil, 0, errZstdHead // of an earlier block's code: this is the first
	}
	width := [4]int{10, 10, 14, 18}[format]
	at := [4]int{3, 3, 4, 5}[format]
	v := uint64(le.Uint32(b)) | uint64(b[4])<<32
	count = int(v >> 4 & (1<<width - 1))
	size := int(v >> (4 + width) & (1<<width - 1))
	if b = b[at:]; size > len(b) || count > zstdMaxBlock {
		return nil, 0, errZstdHead
	}
	section, rest := b[:size], b[size:]
	log, streams, err := z.readHuffman(section)
	if err != nil {
		return nil, 0, err
	}
	return rest, count, z.decodeLiterals(streams, log, format != 0, count, n)
}

// decodeLiterals decodes the first n of count literals out of one stream or four.
func (z *zstdHead) decodeLiterals(b []byte, log int, four bool, count, n int) error {
	z.literals = z.literals[:0]
	lengths, each := []int{len(b)}, count
	if four {
		if len(b) < 6 {
			return errZstdHead
		}
		one, two, three := int(le.Uint16(b)), int(le.Uint16(b[2:])), int(le.Uint16(b[4:]))
		if b = b[6:]; one+two+three > len(b) {
			return errZstdHead
		}
		lengths, each = []int{one, two, three, len(b) - one - two - three}, (count+3)/4
	}
	for _, length := range lengths {
		r, ok := newBitReader(b[:length])
		if !ok {
			return errZstdHead
		}
		b = b[length:]
		for range min(each, count-len(z.literals)) {
			if len(z.literals) >= n {
				return nil
			}
			c := z.huffman[r.peek(log)]
			if r.left -= int(c.bits); r.left < 0 {
				return errZstdHead
			}
			z.literals = append(z.literals, c.symbol)
		}
	}
	return nil
}

package inspect

import "math/bits"

// code is the base and the number of extra bits of a length.
type code struct {
	base uint32
	bits byte
}

// lengthCodes and matchCodes are RFC 8878's, 3.1.1.3.2.1.1.
var lengthCodes = [36]code{{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}, {10, 0}, {11, 0}, {12, 0}, {13, 0}, {14, 0}, {15, 0},
	{16, 1}, {18, 1}, {20, 1}, {22, 1}, {24, 2}, {28, 2}, {32, 3}, {40, 3}, {48, 4}, {64, 6}, {128, 7}, {256, 8}, {512, 9}, {1024, 10}, {2048, 11}, {4096, 12},
	{8192, 13}, {16384, 14}, {32768, 15}, {65536, 16}}

var matchCodes = [53]code{{3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}, {8, 0}, {9, 0}, {10, 0}, {11, 0}, {12, 0}, {13, 0}, {14, 0}, {15, 0}, {16, 0}, {17, 0}, {18, 0},
	{19, 0}, {20, 0}, {21, 0}, {22, 0}, {23, 0}, {24, 0}, {25, 0}, {26, 0}, {27, 0}, {28, 0}, {29, 0}, {30, 0}, {31, 0}, {32, 0}, {33, 0}, {34, 0},
	{35, 1}, {37, 1}, {39, 1}, {41, 1}, {43, 2}, {47, 2}, {51, 3}, {59, 3}, {67, 4}, {83, 4}, {99, 5}, {131, 7}, {259, 8}, {515, 9}, {1027, 10}, {2051, 11},
	{4099, 12}, {8195, 13}, {16387, 14}, {32771, 15}, {65539, 16}}

// zstdCode is what is fixed for one of the three codes of sequences.
type zstdCode struct {
	most, log int // the highest symbol and the largest table there may be
	plainLog  int
	plain     []int16
}

// zstdCodes are those of literal lengths, offsets and match lengths, in the order
// of their tables, with the distributions of RFC 8878, 3.1.1.3.2.2.
var zstdCodes = [3]zstdCode{
	{35, 9, 6, []int16{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1}},
	{31, 8, 5, []int16{1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1}},
	{52, 9, 6, []int16{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		-1, -1, -1, -1, -1, -1, -1}},
}

// read fills a table as its mode says and returns what follows its description.
func (t *fseTable) read(mode int, c zstdCode, b []byte) ([]byte, error) {
	switch mode {
	case 0:
		return b, t.build(c.plain, c.plainLog)
	case 1:
		if len(b) == 0 || int(b[0]) > c.most {
			return nil, errZstdHead
		}
		t.log, t.cells[0] = 0, fseCell{symbol: b[0]}
		return b[1:], nil
	case 2:
		var counts [256]int16
		n, log, size, err := readCounts(b, &counts, c.most, c.log)
		if err != nil {
			return nil, err
		}
		return b[size:], t.build(counts[:n], log)
	}
	return nil, errZstdHead // the table of an earlier block: this is the first
}

// readCounts reads the description of an FSE table: how often each of n symbols
// occurs, in size bytes.
func readCounts(b []byte, counts *[256]int16, most, maxLog int) (n, log, size int, err error) {
	pos := 0
	// peek reads forward; beyond the end are zeros.
	peek := func(width int) int {
		v := 0
		for i := 0; i < 4; i++ {
			if at := pos>>3 + i; at < len(b) {
				v |= int(b[at]) << (8 * i)
			}
		}
		return v >> (pos & 7) & (1<<width - 1)
	}
	log = peek(4) + 5
	pos = 4
	if log > maxLog {
		return 0, 0, 0, errZstdHead
	}
	remaining, threshold, width := 1<<log+1, 1<<log, log+1
	zero := false
	for remaining > 1 {
		if zero {
			for {
				r := peek(2)
				pos += 2
				n += r
				if r != 3 {
					break
				}
				if n > most {
					return 0, 0, 0, errZstdHead
				}
			}
		}
		if n > most {
			return 0, 0, 0, errZstdHead
		}
		small := 2*threshold - 1 - remaining
		v := peek(width - 1)
		if v < small {
			pos += width - 1
		} else {
			if v = peek(width); v >= threshold {
				v -= small
			}
			pos += width
		}
		v--
		if v < 0 {
			remaining--
		} else {
			remaining -= v
		}
		if remaining < 1 {
			return 0, 0, 0, errZstdHead
		}
		counts[n] = int16(v)
		n++
		zero = v == 0
		for remaining < threshold && threshold > 1 {
			width--
			threshold >>= 1
		}
	}
	if size = (pos + 7) / 8; size > len(b) {
		return 0, 0, 0, errZstdHead
	}
	return n, log, size, nil
}

// build spreads symbols over the table.
func (t *fseTable) build(counts []int16, log int) error {
	size := 1 << log
	t.log = log
	var next [256]uint16
	high := size - 1
	for s, n := range counts {
		next[s] = uint16(max(n, 1))
		if n == -1 {
			t.cells[high].symbol = byte(s)
			high--
		}
	}
	at, step := 0, size>>1+size>>3+3
	for s, n := range counts {
		for range max(n, 0) {
			t.cells[at].symbol = byte(s)
			for at = (at + step) & (size - 1); at > high; at = (at + step) & (size - 1) {
			}
		}
	}
	if at != 0 {
		return errZstdHead
	}
	for i := range t.cells[:size] {
		c := &t.cells[i]
		x := next[c.symbol]
		next[c.symbol]++
		c.bits = byte(log - (bits.Len16(x) - 1))
		c.base = x<<c.bits - uint16(size)
	}
	return nil
}

// readHuffman reads the code of literals and returns what follows: the streams.
func (z *zstdHead) readHuffman(b []byte) (log int, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errZstdHead
	}
	head := int(b[0])
	b = b[1:]
	n := 0
	if head >= 128 {
		n = head - 127
		if size := (n + 1) / 2; size <= len(b) {
			for i := range n {
				z.weights[i] = b[i/2] >> (4 * (1 - i&1)) & 15
			}
			rest = b[size:]
		} else {
			return 0, nil, errZstdHead
		}
	} else {
		if head > len(b) {
			return 0, nil, errZstdHead
		}
		if n, err = z.packedWeights(b[:head]); err != nil {
			return 0, nil, err
		}
		rest = b[head:]
	}
	log, err = z.buildHuffman(n)
	return log, rest, err
}

// packedWeights decodes weights that are themselves packed, by two states in turn.
func (z *zstdHead) packedWeights(b []byte) (int, error) {
	var counts [256]int16
	symbols, log, size, err := readCounts(b, &counts, 12, 6)
	if err != nil {
		return 0, err
	}
	t := &z.tables[0]
	if err := t.build(counts[:symbols], log); err != nil {
		return 0, err
	}
	r, ok := newBitReader(b[size:])
	if !ok {
		return 0, errZstdHead
	}
	states := [2]uint32{r.read(log), r.read(log)}
	if r.left < 0 {
		return 0, errZstdHead
	}
	for n := 0; n < 254; n++ {
		s := &states[n&1]
		c := t.cells[*s]
		z.weights[n] = c.symbol
		*s = uint32(c.base) + r.read(int(c.bits))
		if r.left < 0 {
			z.weights[n+1] = t.cells[states[(n+1)&1]].symbol
			return n + 2, nil
		}
	}
	return 0, errZstdHead
}

// buildHuffman makes the table of n weights and the one that they imply.
func (z *zstdHead) buildHuffman(n int) (int, error) {
	sum := 0
	for _, w := range z.weights[:n] {
		if w > zstdMaxHuffman {
			return 0, errZstdHead
		}
		if w > 0 {
			sum += 1 << (w - 1)
		}
	}
	if sum == 0 || n > 255 {
		return 0, errZstdHead
	}
	log := bits.Len(uint(sum))
	left := 1<<log - sum
	if log > zstdMaxHuffman || left&(left-1) != 0 {
		return 0, errZstdHead
	}
	z.weights[n] = byte(bits.Len(uint(left)))
	// Codes of one weight stand together, the lightest first.
	var starts [zstdMaxHuffman + 2]int
	for _, w := range z.weights[:n+1] {
		if w > 0 {
			starts[w+1] += 1 << (w - 1)
		}
	}
	at := 0
	for w := 1; w <= log; w++ {
		starts[w], at = at, at+starts[w+1]
	}
	for s, w := range z.weights[:n+1] {
		if w == 0 {
			continue
		}
		cells := z.huffman[starts[w] : starts[w]+1<<(w-1)]
		starts[w] += len(cells)
		for i := range cells {
			cells[i] = huffmanCode{byte(s), byte(log+1) - w}
		}
	}
	if at != 1<<log {
		return 0, errZstdHead
	}
	return log, nil
}

package inspect

import (
	"fmt"
	"strconv"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Layout of a fat binary: containers back to back, each a header and entries.
// Measured on files of CUDA 11.2 to 13.1.
const (
	containerMagic  = 0xba55ed50
	oldMagic        = 0x1ee55a01
	containerHeader = 16
	entryHeader     = 64

	kindPTX      = 1
	kindELF      = 2
	kindOldCubin = 4
	kindNVVM     = 8
	kindMercury  = 16
	entryVersion = 0x0101
	flagZlib     = 0x1000
	flagLZ4      = 0x2000
	flagLZ4Frame = 0x4000
	flagZstd     = 0x8000
	flagArch     = 0x100000
	flagFamily   = 0x200000
	flagCompress = flagZlib | flagLZ4 | flagLZ4Frame | flagZstd
	flagsKnown   = 0x7f | flagCompress | flagArch | flagFamily
	// maxContainers and maxEntries bound what is read of one file, the same read
	// again included; cuBLASLt 11.8 has 796 and 2,018.
	maxContainers = 1 << 17
	maxEntries    = 1 << 17
	// paddingSize is how much is looked at in one go for the next container.
	paddingSize = 4 << 10
)

// allowance counts what may still be read of a file.
type allowance struct {
	containers, entries int
	header              [entryHeader]byte
}

// container is one fat binary: what one translation unit brings.
type container struct {
	// off is where it starts in its file.
	off     uint64
	entries []entry
	g       region
}

// fail makes a FormatError about the container as a whole.
func (c *container) fail(format string, args ...any) error { return c.g.fail(0, format, args...) }

// entry is one image of a container, by its header.
type entry struct {
	kind uint16
	// sm keeps its suffix; target is the number alone.
	sm     string
	target uint32
	// isa is the header's PTX ISA; empty for cubins.
	isa         string
	compression string
	payload     region
	// stored is the payload's size with its padding.
	stored int64
	// plain is how large the payload says it becomes; a hint, not to be trusted.
	plain uint64
	// unknown are things of the header without an established meaning.
	unknown []string
}

// readContainer reads the container at off and says where the next begins.
func readContainer(g region, off uint64, left *allowance) (*container, uint64, error) {
	if left.containers--; left.containers < 0 {
		return nil, 0, g.fail(int64(off), "more than %d containers", maxContainers)
	}
	h, err := g.bytes(off, containerHeader, "a container header")
	if err != nil {
		return nil, 0, err
	}
	switch magic := le.Uint32(h); magic {
	case containerMagic:
	case oldMagic:
		return nil, 0, g.fail(int64(off), "a fat binary of the form used before CUDA 4, which is not read")
	default:
		return nil, 0, g.fail(int64(off), "no fat-binary container here: magic %#x instead of %#x", magic, containerMagic)
	}
	header, size := uint64(le.Uint16(h[6:])), le.Uint64(h[8:])
	if header < containerHeader {
		return nil, 0, g.fail(int64(off), "a container header that claims %d bytes", header)
	}
	c := &container{off: uint64(g.off) + off, g: region{file: g.file, shown: g.shown + int64(off)}}
	if version := le.Uint16(h[4:]); version != 1 {
		return nil, 0, g.fail(int64(off), "a container of version %d, which is not known", version)
	}
	c.g.size = int64(header + size)
	body, err := g.sub(off, header, "a container header")
	if err == nil {
		body, err = g.sub(off+header, size, "a container")
	}
	if err != nil {
		return nil, 0, err
	}
	c.entries = make([]entry, 0, min(8, size/entryHeader))
	for at := uint64(0); at < size; {
		e, next, err := readEntry(body, at, left.header[:])
		if err != nil {
			return nil, 0, err
		}
		if left.entries--; left.entries < 0 {
			return nil, 0, g.fail(int64(off), "containers of more than %d entries in all", maxEntries)
		}
		c.entries = append(c.entries, e)
		at = next
	}
	return c, off + header + size, nil
}

// readEntry reads the entry at off; h is room for its header.
func readEntry(g region, off uint64, h []byte) (entry, uint64, error) {
	if !g.has(off, entryHeader) {
		return entry{}, 0, g.fail(int64(off), "an entry header leaves its container of %d bytes (cut short?)", g.size)
	}
	err := g.read(h, int64(off), "an entry header")
	if err != nil {
		return entry{}, 0, err
	}
	header, size := uint64(le.Uint32(h[4:])), le.Uint64(h[8:])
	if header < entryHeader {
		return entry{}, 0, g.fail(int64(off), "an entry header that claims %d bytes", header)
	}
	if !g.has(off, header) {
		return entry{}, 0, g.fail(int64(off), "an entry header of %d bytes leaves its container", header)
	}
	e := entry{kind: le.Uint16(h), target: le.Uint32(h[28:]), plain: le.Uint64(h[56:])}
	if e.payload, err = g.sub(off+header, size, "an entry's payload"); err != nil {
		return entry{}, 0, err
	}
	e.stored = e.payload.size
	flags := le.Uint64(h[40:])
	e.sm = strconv.FormatUint(uint64(e.target), 10)
	switch {
	case flags&flagArch != 0:
		e.sm += "a"
	case flags&flagFamily != 0:
		e.sm += "f"
	}
	if e.kind == kindPTX {
		e.isa = fmt.Sprintf("%d.%d", le.Uint16(h[26:]), le.Uint16(h[24:]))
	}
	switch flags & flagCompress {
	case 0:
		e.compression = compressNone
	case flagZlib:
		e.compression = compressZlib
	case flagLZ4:
		e.compression = compressLZ4
	case flagLZ4Frame:
		e.compression = compressLZ4Frame
	case flagZstd:
		e.compression = compressZstd
	default:
		return entry{}, 0, g.fail(int64(off), "an entry that claims several compressions at once (flags %#x)", flags)
	}
	// The payload is padded; its compressed size is exact.
	if n := uint64(le.Uint32(h[16:])); e.compression != compressNone && n > 0 {
		if e.payload, err = e.payload.sub(0, n, "a compressed payload"); err != nil {
			return entry{}, 0, err
		}
	}
	if v := le.Uint16(h[2:]); v != entryVersion {
		e.unknown = append(e.unknown, fmt.Sprintf("entry version %#x", v))
	}
	for bit := uint64(1); bit != 0; bit <<= 1 {
		if flags&bit&^flagsKnown != 0 {
			e.unknown = append(e.unknown, fmt.Sprintf("entry flag %#x", bit))
		}
	}
	if name := kindName(e.kind); name != facts.KindSASS && name != facts.KindPTX {
		e.unknown = append(e.unknown, "entry kind "+name)
	}
	return e, off + header + size, nil
}

// kindName is the name of an entry kind in facts.Image.
func kindName(kind uint16) string {
	switch kind {
	case kindPTX:
		return facts.KindPTX
	case kindELF:
		return facts.KindSASS
	case kindOldCubin:
		return "old-cubin"
	case kindNVVM:
		return "nvvm-ir"
	case kindMercury:
		return "mercury"
	}
	return fmt.Sprintf("%#x", kind)
}

// eachContainer calls visit with containers that lie back to back, with zeros
// between.
func eachContainer(g region, left *allowance, visit func(*container) error) error {
	for off := uint64(0); g.has(off, 1); {
		b, err := g.bytes(off, min(uint64(g.size)-off, 8), "padding between containers")
		if err != nil {
			return err
		}
		if allZero(b) {
			if off, err = skipZeros(g, off); err != nil {
				return err
			}
			continue
		}
		c, next, err := readContainer(g, off, left)
		if err != nil {
			return err
		}
		if err := visit(c); err != nil {
			return err
		}
		off = next
	}
	return nil
}

// skipZeros is the first place from off on, in steps of 8 bytes, where something
// else than zeros stands.
func skipZeros(g region, off uint64) (uint64, error) {
	for size := uint64(64); g.has(off, 1); size = min(2*size, paddingSize) {
		b, err := g.bytes(off, min(uint64(g.size)-off, size), "padding between containers")
		if err != nil {
			return 0, err
		}
		for ; len(b) > 0; b = b[min(8, len(b)):] {
			if !allZero(b[:min(8, len(b))]) {
				return off, nil
			}
			off += min(8, uint64(len(b)))
		}
	}
	return off, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

package inspect

import (
	"bytes"
	"encoding/binary"
	"strings"
)

var le = binary.LittleEndian

// Numbers of the ELF format that are used here (System V gABI, GNU extensions).
const (
	elfHeaderSize  = 64
	sectionSize    = 64
	segmentSize    = 56
	symbolSize     = 24
	relaSize       = 24
	typeRelocable  = 1
	typeExecutable = 2
	typeShared     = 3
	machineX86     = 62
	machineARM     = 183
	machineCUDA    = 190
	shtProgbits    = 1
	shtSymtab      = 2
	shtRela        = 4
	shtNobits      = 8
	shtDynsym      = 11
	shfAlloc       = 2
	shfCompressed  = 0x800
	ptLoad         = 1
	ptDynamic      = 2
	ptGNUStack     = 0x6474e551
	pfX            = 1

	// maxSections bounds what a header may claim; a large cubin of cuBLAS has
	// tens of thousands.
	maxSections = 1 << 18
	// maxOverlap is how many times a file's sections may cover it.
	maxOverlap = 4
	// maxTable bounds a table of names that is read as a whole.
	maxTable = 24 << 20
)

var elfMagic = []byte("\x7fELF")

// object is an ELF file's skeleton: its header, sections and segments.
type object struct {
	region
	kind, machine  uint16
	abiVersion     byte
	version, flags uint32
	sections       []section
	segments       []segment
	names          []byte
}

type section struct {
	nameOff, kind uint32
	flags         uint64
	addr          uint64
	off, size     uint64
	link, info    uint32
	entry         uint64
}

type segment struct {
	kind, flags uint32
	off, addr   uint64
	filesz      uint64
}

// openELF reads the header and the tables of sections and segments.
func openELF(g region) (*object, error) {
	o, h, err := openSections(g)
	if err != nil {
		return nil, err
	}
	return o, o.readSegments(h)
}

// openSections reads the header and the table of sections alone, and returns
// the header's bytes too.
func openSections(g region) (*object, []byte, error) {
	h, err := g.bytes(0, elfHeaderSize, "the ELF header")
	if err != nil {
		return nil, nil, err
	}
	if !bytes.HasPrefix(h, elfMagic) {
		return nil, nil, g.fail(0, "not an ELF file")
	}
	if h[4] != 2 || h[5] != 1 {
		return nil, nil, g.fail(4, "only 64-bit little-endian ELF is read (class %d, data %d)", h[4], h[5])
	}
	o := &object{region: g, kind: le.Uint16(h[16:]), machine: le.Uint16(h[18:]), abiVersion: h[8],
		version: le.Uint32(h[20:]), flags: le.Uint32(h[48:])}
	return o, h, o.readSections(h)
}

func (o *object) readSections(h []byte) error {
	off, entry := le.Uint64(h[40:]), uint64(le.Uint16(h[58:]))
	count, names := uint64(le.Uint16(h[60:])), uint64(le.Uint16(h[62:]))
	if off == 0 {
		return nil
	}
	if entry != sectionSize {
		return o.fail(58, "section headers of %d bytes instead of %d", entry, sectionSize)
	}
	if count == 0 || names == 0xffff {
		// More sections than 16 bits hold: the first header has the numbers.
		b, err := o.bytes(off, sectionSize, "the first section header")
		if err != nil {
			return err
		}
		if count == 0 {
			count = le.Uint64(b[32:])
		}
		if names == 0xffff {
			names = uint64(le.Uint32(b[40:]))
		}
	}
	if count > maxSections {
		return o.fail(60, "%d sections are more than any real file has", count)
	}
	table, err := o.sub(off, count*sectionSize, "the section headers")
	if err != nil {
		return err
	}
	o.sections = make([]section, 0, count)
	var total uint64
	err = table.chunks(sectionSize<<10, "the section headers", func(_ int64, b []byte) bool {
		for s := b; len(s) >= sectionSize; s = s[sectionSize:] {
			one := section{nameOff: le.Uint32(s), kind: le.Uint32(s[4:]), flags: le.Uint64(s[8:]), addr: le.Uint64(s[16:]),
				off: le.Uint64(s[24:]), size: le.Uint64(s[32:]), link: le.Uint32(s[40:]), info: le.Uint32(s[44:]), entry: le.Uint64(s[56:])}
			o.sections = append(o.sections, one)
			if one.kind != shtNobits {
				total += min(one.size, uint64(o.size))
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	// In a real file they lie side by side. Where they do not, reading each of
	// them would have no end.
	if total > maxOverlap*uint64(o.size) {
		return o.fail(int64(off), "sections of %d bytes in all overlap in a file of %d", total, o.size)
	}
	if names == 0 {
		return nil
	}
	if names >= count {
		return o.fail(62, "section names are said to be in section %d of %d", names, count)
	}
	o.names, err = o.table(&o.sections[names], "the section names")
	return err
}

func (o *object) readSegments(h []byte) error {
	off, entry, count := le.Uint64(h[32:]), uint64(le.Uint16(h[54:])), uint64(le.Uint16(h[56:]))
	if off == 0 || count == 0 {
		return nil
	}
	if entry != segmentSize {
		return o.fail(54, "program headers of %d bytes instead of %d", entry, segmentSize)
	}
	b, err := o.bytes(off, count*segmentSize, "the program headers")
	if err != nil {
		return err
	}
	o.segments = make([]segment, count)
	for i := range o.segments {
		s := b[i*segmentSize:]
		o.segments[i] = segment{kind: le.Uint32(s), flags: le.Uint32(s[4:]), off: le.Uint64(s[8:]), addr: le.Uint64(s[16:]), filesz: le.Uint64(s[32:])}
	}
	return nil
}

// table reads a whole section that is a table.
func (o *object) table(s *section, what string) ([]byte, error) {
	if s.kind == shtNobits || s.size == 0 {
		return nil, nil
	}
	if s.size > maxTable {
		return nil, o.fail(0, "%s take %d bytes", what, s.size)
	}
	return o.bytes(s.off, s.size, what)
}

// window is the section's contents; empty for one without bytes in the file.
func (o *object) window(s *section) (region, error) {
	if s.kind == shtNobits {
		return region{r: o.r, file: o.file}, nil
	}
	return o.sub(s.off, s.size, "section "+o.name(s))
}

func (o *object) name(s *section) string { return cString(o.names, uint64(s.nameOff)) }

// named lists the sections of a name.
func (o *object) named(name string) []*section {
	var list []*section
	for i := range o.sections {
		if s := &o.sections[i]; o.hasName(s, name) {
			list = append(list, s)
		}
	}
	return list
}

func (o *object) hasName(s *section, name string) bool {
	off := uint64(s.nameOff)
	end := off + uint64(len(name))
	return end < uint64(len(o.names)) && o.names[end] == 0 && string(o.names[off:end]) == name
}

// hasPrefix avoids making a string for each of thousands of names.
func (o *object) hasPrefix(s *section, prefix string) bool {
	off := uint64(s.nameOff)
	end := off + uint64(len(prefix))
	return end <= uint64(len(o.names)) && string(o.names[off:end]) == prefix
}

// fileOffset translates an address through the loadable segments, as the
// dynamic linker does.
func (o *object) fileOffset(addr uint64) (uint64, bool) {
	for _, s := range o.segments {
		if s.kind == ptLoad && addr >= s.addr && addr-s.addr < s.filesz {
			off := s.off + (addr - s.addr)
			return off, off >= s.off
		}
	}
	return 0, false
}

// cString is the NUL-terminated string at off, "" where there is none.
func cString(table []byte, off uint64) string {
	if off >= uint64(len(table)) {
		return ""
	}
	b := table[off:]
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return ""
	}
	return strings.ToValidUTF8(string(b[:i]), "?")
}

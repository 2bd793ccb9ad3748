package inspect

import (
	"bytes"
	"cmp"
	"slices"
)

const (
	shfExec     = 4
	symbolIFunc = 10
	pointerSize = 8
	encOmit     = 0xff
	encPCRel    = 0x10

	// maxUnwind bounds the unwind tables that are read as a whole.
	maxUnwind = 64 << 20
	// maxSymbolTables and maxSegments are many times what any real file has: each
	// costs work for all of its code.
	maxSymbolTables = 16
	maxSegments     = 256
)

// function is a piece of code, by address.
type function struct{ addr, size uint64 }

func (f function) end() uint64 { return f.addr + f.size }

// functions lists the pieces of code that the unwind table has an entry for,
// which is all but hand-written ones and survives strip, and those that the
// symbols add. They are ordered and do not overlap. A file with neither, such as
// a Go program without symbols, gives none.
func functions(o *object) ([]function, error) {
	list, err := unwindFunctions(o)
	if err != nil {
		return nil, err
	}
	more, err := symbolFunctions(o)
	if err != nil {
		return nil, err
	}
	list = apart(list)
	return apart(append(list, slices.DeleteFunc(more, func(f function) bool { return within(list, f.addr) })...)), nil
}

// within says whether addr lies in one of the functions.
func within(list []function, addr uint64) bool {
	i, ok := slices.BinarySearchFunc(list, addr, func(f function, a uint64) int { return cmp.Compare(f.addr, a) })
	return ok || i > 0 && list[i-1].end() > addr
}

// apart orders functions and cuts what overlaps.
func apart(list []function) []function {
	slices.SortFunc(list, func(a, b function) int { return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(b.size, a.size)) })
	kept := list[:0]
	for _, f := range list {
		if n := len(kept); n > 0 && kept[n-1].end() > f.addr {
			if kept[n-1].addr == f.addr || f.end() <= kept[n-1].end() {
				continue
			}
			kept[n-1].size = f.addr - kept[n-1].addr
		}
		kept = append(kept, f)
	}
	return kept
}

// executable says whether addr lies in a segment with code.
func (o *object) executable(addr, size uint64) bool {
	for _, s := range o.segments {
		if s.kind == ptLoad && s.flags&pfX != 0 && addr >= s.addr && addr-s.addr < s.filesz && size <= s.filesz-(addr-s.addr) {
			return true
		}
	}
	return false
}

// unwindFunctions reads .eh_frame.
func unwindFunctions(o *object) ([]function, error) {
	var list []function
	left := uint64(maxUnwind)
	for _, s := range o.named(".eh_frame") {
		if s.kind == shtNobits || s.size == 0 {
			continue
		}
		if s.size > left {
			return nil, o.fail(int64(s.off), "unwind tables of more than %d bytes", maxUnwind)
		}
		left -= s.size
		b, err := o.bytes(s.off, s.size, "the unwind table")
		if err != nil {
			return nil, err
		}
		e := unwind{b: b, addr: s.addr, encodings: map[int]byte{}}
		e.walk(func(f function) {
			if f.size > 0 && o.executable(f.addr, f.size) {
				list = append(list, f)
			}
		})
	}
	return list, nil
}

// unwind is an .eh_frame section. What it does not understand it passes over:
// such a function is then among the code that was not looked at.
type unwind struct {
	b    []byte
	addr uint64
	// encodings of addresses, by the offset of the entry (CIE) that sets them.
	encodings map[int]byte
}

// walk calls visit for every function.
func (u *unwind) walk(visit func(function)) {
	for at := 0; at+4 <= len(u.b); {
		length, start := uint64(le.Uint32(u.b[at:])), at+4
		if length == 0 {
			// The end of one object's table; the linker leaves only one.
			at += 4
			continue
		}
		if length == 0xffffffff {
			if at+12 > len(u.b) {
				return
			}
			length, start = le.Uint64(u.b[at+4:]), at+12
		}
		if length < 4 || length > uint64(len(u.b)-start) {
			return
		}
		end := start + int(length)
		if back := le.Uint32(u.b[start:]); back != 0 && int64(back) <= int64(start) {
			if f, ok := u.function(start+4, end, u.encoding(start-int(back))); ok {
				visit(f)
			}
		}
		at = end
	}
}

// function reads the address and size of an entry (FDE).
func (u *unwind) function(at, end int, enc byte) (f function, ok bool) {
	size := encodedSize(enc)
	if size == 0 || at+2*size > end || enc&0x70 != encPCRel && enc&0x70 != 0 || enc&0x80 != 0 {
		return f, false
	}
	f.addr = encoded(u.b[at:], enc)
	if enc&0x70 == encPCRel {
		f.addr += u.addr + uint64(at)
	}
	f.size = encoded(u.b[at+size:], enc&^0x08)
	return f, true
}

func encodedSize(enc byte) int {
	switch enc & 0x0f {
	case 0x00, 0x04, 0x0c:
		return pointerSize
	case 0x03, 0x0b:
		return 4
	case 0x02, 0x0a:
		return 2
	}
	return 0
}

func encoded(b []byte, enc byte) uint64 {
	switch enc & 0x0f {
	case 0x02:
		return uint64(le.Uint16(b))
	case 0x0a:
		return uint64(int16(le.Uint16(b)))
	case 0x03:
		return uint64(le.Uint32(b))
	case 0x0b:
		return uint64(int32(le.Uint32(b)))
	}
	return le.Uint64(b)
}

// encoding is how the entries that share the CIE at that offset write addresses.
func (u *unwind) encoding(at int) byte {
	enc, ok := u.encodings[at]
	if !ok {
		enc = u.readEncoding(at)
		u.encodings[at] = enc
	}
	return enc
}

func (u *unwind) readEncoding(at int) byte {
	if at < 0 || at+9 > len(u.b) || le.Uint32(u.b[at+4:]) != 0 {
		return encOmit
	}
	version, b := u.b[at+8], u.b[at+9:]
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return encOmit
	}
	augmentation := b[:i]
	b = b[i+1:]
	if len(augmentation) == 0 || augmentation[0] != 'z' {
		return 0 // plain addresses
	}
	b = skipLEB(skipLEB(b)) // alignment of code and data
	if version == 1 {
		b = b[min(1, len(b)):]
	} else {
		b = skipLEB(b)
	}
	b = skipLEB(b) // length of what follows
	for _, c := range augmentation[1:] {
		switch {
		case c == 'S' || c == 'B':
			continue
		case len(b) == 0:
			return encOmit
		case c == 'R':
			return b[0]
		case c == 'L':
			b = b[1:]
		case c == 'P':
			b = b[min(1+encodedSize(b[0]), len(b)):]
		default:
			return encOmit
		}
	}
	return 0
}

func skipLEB(b []byte) []byte {
	for len(b) > 0 {
		more := b[0]&0x80 != 0
		b = b[1:]
		if !more {
			break
		}
	}
	return b
}

// eachSymbol calls visit for every symbol with its name, in all tables.
func eachSymbol(o *object, visit func(name []byte, b []byte)) error {
	tables := 0
	for i := range o.sections {
		s := &o.sections[i]
		if s.kind != shtSymtab && s.kind != shtDynsym || uint64(s.link) >= uint64(len(o.sections)) {
			continue
		}
		if tables++; tables > maxSymbolTables {
			return o.fail(int64(s.off), "more than %d tables of symbols", maxSymbolTables)
		}
		names, err := o.table(&o.sections[s.link], "the symbols' names")
		if err != nil {
			return err
		}
		g, err := o.sub(s.off, s.size/symbolSize*symbolSize, "the symbols")
		if err != nil {
			return err
		}
		err = g.chunks(symbolSize<<10, "the symbols", func(_ int64, b []byte) bool {
			for ; len(b) >= symbolSize; b = b[symbolSize:] {
				var name []byte
				if off := uint64(le.Uint32(b)); off < uint64(len(names)) {
					if name = names[off:]; bytes.IndexByte(name, 0) >= 0 {
						name = name[:bytes.IndexByte(name, 0)]
					}
				}
				visit(name, b)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// symbolFunctions lists the functions of the symbol tables that say how large
// they are.
func symbolFunctions(o *object) ([]function, error) {
	var list []function
	err := eachSymbol(o, func(_ []byte, b []byte) {
		f := function{le.Uint64(b[8:]), le.Uint64(b[16:])}
		if kind := b[4] & 15; kind != symbolFunc && kind != symbolIFunc || le.Uint16(b[6:]) == 0 || f.size == 0 {
			return
		}
		if o.executable(f.addr, f.size) {
			list = append(list, f)
		}
	})
	return list, err
}

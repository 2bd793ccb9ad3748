package inspect

import "fmt"

const (
	sectionFatbin    = ".nv_fatbin"
	sectionRelFatbin = "__nv_relfatbin"
	sectionWrappers  = ".nvFatBinSegment"

	wrapperMagic = 0x466243b1
	wrapperSize  = 24
	// pointerAt is where in a wrapper the pointer to its container stands.
	pointerAt = 8
	// versionLinked marks the wrapper that the device linker makes.
	versionLinked = 2
	// maxWrappers bounds one section of wrappers.
	maxWrappers = 1 << 17

	relX86Relative = 8
	relX8664       = 1
	relARMRelative = 1027
	relARMAbs64    = 257
)

// wrapper is one record of .nvFatBinSegment: a translation unit's pointer to
// its fat binary.
type wrapper struct {
	version uint32
	// target is an offset in the object; known is false where the file does not
	// tell where the pointer will go.
	target uint64
	known  bool
}

// readWrappers reads the wrappers of one section, with relocations applied.
func readWrappers(o *object, s *section) ([]wrapper, error) {
	g, err := o.window(s)
	if err != nil {
		return nil, err
	}
	if s.size/wrapperSize > maxWrappers {
		return nil, g.fail(0, "%d bytes of wrappers", s.size)
	}
	b, err := g.bytes(0, uint64(g.size), "the wrappers")
	if err != nil {
		return nil, err
	}
	var list []wrapper
	// at[i] is where wrapper i stands within the section.
	at := map[uint64]int{}
	for off := uint64(0); off < uint64(len(b)); {
		if rest := b[off:]; len(rest) < wrapperSize || le.Uint32(rest) != wrapperMagic {
			n := min(8, len(rest))
			if !allZero(rest[:n]) {
				return nil, g.fail(int64(off), "no fat-binary wrapper here: magic %#x", le.Uint32(append(rest[:n:n], 0, 0, 0, 0)))
			}
			off += uint64(n)
			continue
		}
		at[off] = len(list)
		w := wrapper{version: le.Uint32(b[off+4:])}
		if o.kind != typeRelocable {
			w.target, w.known = o.fileOffset(le.Uint64(b[off+pointerAt:]))
		}
		list = append(list, w)
		off += wrapperSize
	}
	if o.kind == typeRelocable {
		err = o.relocateObject(s, at, list)
	} else {
		err = o.relocateLoaded(s, at, list)
	}
	return list, err
}

// relocateLoaded applies the dynamic linker's relative relocations: they say
// where the pointers of position-independent code go. Packed ones (RELR) leave
// the address in place.
func (o *object) relocateLoaded(s *section, at map[uint64]int, list []wrapper) error {
	for i := range o.sections {
		r := &o.sections[i]
		if r.kind != shtRela || r.flags&shfAlloc == 0 {
			continue
		}
		g, err := o.sub(r.off, r.size/relaSize*relaSize, "section "+o.name(r))
		if err != nil {
			return err
		}
		err = g.chunks(relaSize<<12, "relocations", func(_ int64, b []byte) bool {
			for ; len(b) >= relaSize; b = b[relaSize:] {
				off := le.Uint64(b) - s.addr - pointerAt
				if off >= s.size {
					continue
				}
				i, ok := at[off]
				if !ok {
					continue
				}
				switch kind := uint32(le.Uint64(b[8:])); {
				case o.machine == machineX86 && kind == relX86Relative, o.machine == machineARM && kind == relARMRelative:
					list[i].target, list[i].known = o.fileOffset(le.Uint64(b[16:]))
				default:
					list[i].known = false
				}
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// relocateObject applies the relocations of an object file, which name a symbol
// and with it a section.
func (o *object) relocateObject(s *section, at map[uint64]int, list []wrapper) error {
	for i := range o.sections {
		r := &o.sections[i]
		if r.kind != shtRela || uint64(r.info) >= uint64(len(o.sections)) || &o.sections[r.info] != s {
			continue
		}
		if uint64(r.link) >= uint64(len(o.sections)) {
			return o.fail(int64(r.off), "relocations name symbol table %d of %d sections", r.link, len(o.sections))
		}
		symbols := &o.sections[r.link]
		g, err := o.sub(r.off, r.size/relaSize*relaSize, "section "+o.name(r))
		if err != nil {
			return err
		}
		var bad error
		err = g.chunks(relaSize<<12, "relocations", func(_ int64, b []byte) bool {
			for ; len(b) >= relaSize && bad == nil; b = b[relaSize:] {
				if i, ok := at[le.Uint64(b)-pointerAt]; ok {
					list[i].target, list[i].known, bad = o.resolve(symbols, le.Uint64(b[8:]), le.Uint64(b[16:]))
				}
			}
			return bad == nil
		})
		if err != nil {
			return err
		}
		if bad != nil {
			return bad
		}
	}
	return nil
}

// resolve is the place in the file that a 64-bit absolute relocation points to.
func (o *object) resolve(symbols *section, info, addend uint64) (uint64, bool, error) {
	kind := uint32(info)
	if (o.machine != machineX86 || kind != relX8664) && (o.machine != machineARM || kind != relARMAbs64) {
		return 0, false, nil
	}
	table, err := o.window(symbols)
	if err != nil {
		return 0, false, err
	}
	sym, err := table.bytes(info>>32*symbolSize, symbolSize, "a symbol")
	if err != nil {
		return 0, false, err
	}
	index := int(le.Uint16(sym[6:]))
	if index == 0 || index >= len(o.sections) {
		return 0, false, nil
	}
	t := &o.sections[index]
	off := le.Uint64(sym[8:]) + addend
	if t.kind == shtNobits || off >= t.size {
		return 0, false, nil
	}
	return t.off + off, true, nil
}

// String names a wrapper's version where it is not one we know.
func (w wrapper) unknown() string {
	if w.version == 1 || w.version == versionLinked {
		return ""
	}
	return fmt.Sprintf("wrapper version %d", w.version)
}

package inspect

// Tags of the dynamic section about the versions that a library defines.
const (
	dtVerdef    = 0x6ffffffc
	dtVerdefnum = 0x6ffffffd
	// maxDefined bounds how many versions are looked at.
	maxDefined = 1 << 12
)

// definesVersion says whether a library defines symbols of a version node.
// NVIDIA's define the node of their SONAME; a library linked anew out of their
// static ones does not, unless its maker took the trouble.
func definesVersion(o *object, name string) (bool, error) {
	d, err := readDynamic(o)
	if err != nil || d == nil {
		return false, err
	}
	addr, ok := d.tags[dtVerdef]
	if !ok {
		return false, nil
	}
	off, ok := o.fileOffset(addr)
	if !ok {
		return false, o.fail(0, "the version definitions are said to be at address %#x, outside the file", addr)
	}
	for n := min(d.tags[dtVerdefnum], maxDefined); n > 0; n-- {
		b, err := o.bytes(off, 20, "a version definition")
		if err != nil {
			return false, err
		}
		// The first auxiliary record names the version, others its parents.
		if le.Uint16(b[6:]) > 0 {
			aux, err := o.bytes(off+uint64(le.Uint32(b[12:])), 8, "a version definition")
			if err != nil {
				return false, err
			}
			// Flag 1 marks the name of the library itself, which says nothing more.
			if le.Uint16(b[2:])&1 == 0 && d.strings.at(uint64(le.Uint32(aux))) == name {
				return true, nil
			}
		}
		next := le.Uint32(b[16:])
		if next == 0 {
			break
		}
		off += uint64(next)
	}
	return false, nil
}

package inspect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Tags of the dynamic section.
const (
	dtNeeded     = 1
	dtStrtab     = 5
	dtSymtab     = 6
	dtStrsz      = 10
	dtSoname     = 14
	dtRpath      = 15
	dtTextrel    = 22
	dtFlags      = 30
	dtRunpath    = 29
	dtVersym     = 0x6ffffff0
	dtVerneed    = 0x6ffffffe
	dtVerneednum = 0x6fffffff
	dfTextrel    = 4
	weakVersion  = 2

	// relrNode stands for relative relocations in the packed form, which glibc
	// reads from relrGlibc on. No symbol carries it.
	relrNode  = "GLIBC_ABI_DT_RELR"
	relrGlibc = "2.36"

	maxDynamic  = 1 << 16
	maxVersions = 1 << 16
)

// Findings of an ELF file.
const (
	findRpath      = "rpath"
	findTextrel    = "textrel"
	findExecstack  = "execstack"
	findDebugInfo  = "debug-info"
	findDebugLink  = "debug-link"
	findSymtab     = "symtab"
	findNoSections = "no-sections"
)

// dynamic holds the tags that say what a file asks of its host.
type dynamic struct {
	o       *object
	tags    map[int64]uint64
	needed  []uint64
	strings stringTable
}

// hostFacts is what the dynamic linker and libc will ask of a host.
func hostFacts(o *object) (*facts.ELF, error) {
	e := &facts.ELF{BuildPaths: []string{}}
	if len(o.sections) == 0 {
		e.Findings = append(e.Findings, findNoSections)
	}
	d, err := readDynamic(o)
	if err != nil {
		return nil, err
	}
	if d != nil {
		d.describe(e)
		if err := d.versions(e); err != nil {
			return nil, err
		}
	}
	if execStack(o) {
		e.Findings = append(e.Findings, findExecstack)
	}
	for i := range o.sections {
		switch s := &o.sections[i]; {
		case s.size == 0:
		case o.hasPrefix(s, ".debug_") || o.hasPrefix(s, ".zdebug_"):
			e.Findings = append(e.Findings, findDebugInfo)
		case o.hasName(s, ".gnu_debuglink"):
			e.Findings = append(e.Findings, findDebugLink)
		case s.kind == shtSymtab && o.kind != typeRelocable:
			e.Findings = append(e.Findings, findSymtab)
		}
	}
	slices.Sort(e.Findings)
	e.Findings = slices.Compact(e.Findings)
	return e, nil
}

// execStack follows the kernel and glibc: without a PT_GNU_STACK header the
// stack of an x86-64 program is executable.
func execStack(o *object) bool {
	for _, s := range o.segments {
		if s.kind == ptGNUStack {
			return s.flags&pfX != 0
		}
	}
	return o.machine == machineX86 && (o.kind == typeExecutable || o.kind == typeShared)
}

// readDynamic finds the dynamic section as the dynamic linker does, through
// the program headers. It is nil for an object or a static program.
func readDynamic(o *object) (*dynamic, error) {
	i := slices.IndexFunc(o.segments, func(s segment) bool { return s.kind == ptDynamic })
	if i < 0 {
		return nil, nil
	}
	seg := o.segments[i]
	if seg.filesz/16 > maxDynamic {
		return nil, o.fail(int64(seg.off), "a dynamic section of %d bytes", seg.filesz)
	}
	b, err := o.bytes(seg.off, seg.filesz, "the dynamic section")
	if err != nil {
		return nil, err
	}
	d := &dynamic{o: o, tags: map[int64]uint64{}}
	for ; len(b) >= 16; b = b[16:] {
		tag, value := int64(le.Uint64(b)), le.Uint64(b[8:])
		if tag == 0 {
			break
		}
		if tag == dtNeeded {
			d.needed = append(d.needed, value)
			continue
		}
		d.tags[tag] = value
	}
	if addr, ok := d.tags[dtStrtab]; ok {
		size := d.tags[dtStrsz]
		off, ok := o.fileOffset(addr)
		if !ok {
			return nil, o.fail(int64(seg.off), "the dynamic strings are said to be %d bytes at address %#x, outside the file", size, addr)
		}
		if d.strings, err = openStrings(o.region, off, size); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// describe fills in names, search path and findings.
func (d *dynamic) describe(e *facts.ELF) {
	for _, off := range d.needed {
		e.Needed = append(e.Needed, d.strings.at(off))
	}
	if off, ok := d.tags[dtSoname]; ok {
		e.Soname = d.strings.at(off)
	}
	// DT_RPATH is ignored by the dynamic linker where DT_RUNPATH stands.
	if off, ok := d.tags[dtRpath]; ok {
		e.Findings = append(e.Findings, findRpath)
		e.Runpath = strings.Split(d.strings.at(off), ":")
	}
	if off, ok := d.tags[dtRunpath]; ok {
		e.Runpath = strings.Split(d.strings.at(off), ":")
	}
	if _, ok := d.tags[dtTextrel]; ok || d.tags[dtFlags]&dfTextrel != 0 {
		e.Findings = append(e.Findings, findTextrel)
	}
}

// versions reads the symbol versions the file requires. A weak requirement is
// left out: the dynamic linker only warns where it is not met.
func (d *dynamic) versions(e *facts.ELF) error {
	addr, ok := d.tags[dtVerneed]
	if !ok {
		return nil
	}
	off, ok := d.o.fileOffset(addr)
	if !ok {
		return d.o.fail(0, "the version requirements are said to be at address %#x, outside the file", addr)
	}
	var f versionFloors
	budget := maxVersions
	for n := d.tags[dtVerneednum]; n > 0; n-- {
		if budget--; budget < 0 {
			return d.o.fail(int64(off), "more than %d version requirements", maxVersions)
		}
		need, err := d.o.bytes(off, 16, "a version requirement")
		if err != nil {
			return err
		}
		aux := off + uint64(le.Uint32(need[8:]))
		for c := le.Uint16(need[2:]); c > 0; c-- {
			if budget--; budget < 0 {
				return d.o.fail(int64(off), "more than %d version requirements", maxVersions)
			}
			a, err := d.o.bytes(aux, 16, "a version requirement")
			if err != nil {
				return err
			}
			name := d.strings.at(uint64(le.Uint32(a[8:])))
			if le.Uint16(a[4:])&weakVersion == 0 && !f.take(name, le.Uint16(a[6:])) {
				e.Findings = append(e.Findings, strings.ToLower(name))
			}
			next := le.Uint32(a[12:])
			if next == 0 {
				break
			}
			aux += uint64(next)
		}
		next := le.Uint32(need[12:])
		if next == 0 {
			break
		}
		off += uint64(next)
	}
	var err error
	if e.Glibc, e.GlibcSymbol, err = d.floor(f.glibc); err != nil {
		return err
	}
	switch {
	case Newer(f.node, e.Glibc):
		e.Glibc, e.GlibcSymbol, e.GlibcBecause = f.node, "", becauseRelr
	case e.Glibc != "" && e.GlibcSymbol == "":
		e.GlibcBecause = becauseNode
	}
	if e.Glibcxx, e.GlibcxxSymbol, err = d.floor(f.glibcxx); err != nil {
		return err
	}
	e.CXXABI, e.CXXABISymbol, err = d.floor(f.cxxabi)
	return err
}

// What forces a floor where no symbol does.
const (
	becauseRelr = "packed relocations (DT_RELR)"
	becauseNode = "a version that no symbol uses"
)

// versionFloors are the highest versions required of each family.
type versionFloors struct {
	glibc, glibcxx, cxxabi versionFloor
	// node is what the packed relocations alone ask for.
	node string
}

// versionFloor is a version and the number by which symbols refer to it.
type versionFloor struct {
	version string
	index   uint16
}

func (f *versionFloor) raise(v string, index uint16) {
	if Newer(v, f.version) {
		*f = versionFloor{v, index}
	}
}

// take notes one version. It is false for one of glibc that belongs to no release.
func (f *versionFloors) take(name string, index uint16) bool {
	family, v, ok := strings.Cut(name, "_")
	switch {
	case !ok:
	case name == relrNode:
		f.node = relrGlibc
	case !isVersion(v):
		return family != "GLIBC"
	case family == "GLIBC":
		f.glibc.raise(v, index)
	case family == "GLIBCXX":
		f.glibcxx.raise(v, index)
	case family == "CXXABI":
		f.cxxabi.raise(v, index)
	}
	return true
}

// floor is a version and one symbol that asks for it.
func (d *dynamic) floor(f versionFloor) (version, symbol string, err error) {
	if f.version == "" {
		return "", "", nil
	}
	symbol, err = d.symbolOfVersion(f.index)
	return f.version, symbol, err
}

// symbolOfVersion is the first symbol, in the file's order, with that version.
func (d *dynamic) symbolOfVersion(index uint16) (string, error) {
	var count uint64
	for i := range d.o.sections {
		if s := &d.o.sections[i]; s.kind == shtDynsym {
			count = s.size / symbolSize
		}
	}
	versions, ok1 := d.o.fileOffset(d.tags[dtVersym])
	symbols, ok2 := d.o.fileOffset(d.tags[dtSymtab])
	if !ok1 || !ok2 || count == 0 {
		return "", nil
	}
	g, err := d.o.sub(versions, count*2, "the symbol versions")
	if err != nil {
		return "", err
	}
	found := int64(-1)
	err = g.chunks(64<<10, "the symbol versions", func(off int64, b []byte) bool {
		for i := 0; i+1 < len(b); i += 2 {
			if le.Uint16(b[i:])&0x7fff == index {
				found = (off + int64(i)) / 2
				return false
			}
		}
		return true
	})
	if err != nil || found < 0 {
		return "", err
	}
	s, err := d.o.bytes(symbols+uint64(found)*symbolSize, symbolSize, "a dynamic symbol")
	if err != nil {
		return "", err
	}
	return d.strings.at(uint64(le.Uint32(s))), nil
}

// isVersion says whether v is numbers with dots between: GLIBC_PRIVATE and
// CXXABI_FLOAT128 name no release.
func isVersion(v string) bool {
	for part := range strings.SplitSeq(v, ".") {
		if _, err := strconv.ParseUint(part, 10, 16); err != nil {
			return false
		}
	}
	return true
}

// Newer compares dotted version numbers such as "2.34" and "3.4.30" part by
// part; an absent version is older than any.
func Newer(a, b string) bool {
	if b == "" {
		return a != ""
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(x, y, func(p, q string) int {
		m, _ := strconv.Atoi(p)
		n, _ := strconv.Atoi(q)
		return cmp.Compare(m, n)
	}) > 0
}

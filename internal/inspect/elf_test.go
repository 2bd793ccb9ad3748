package inspect_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// builder makes a shared library whose addresses are its file offsets.
type builder struct {
	needed, versions []string
	runpath, soname  string
	rpath            string
	textrel          bool
	stack            uint32 // flags of PT_GNU_STACK; 0 leaves it out
	sections         []testSection
	node             string // a version that the library defines
}

type testSection struct {
	name  string
	kind  uint32
	flags uint64
	data  []byte
}

const (
	progbits, strtab, dynsym = 1, 3, 11
	versym, verneed          = 0x6fffffff, 0x6ffffffe
	allocated                = 2
)

// build lays out the header, three program headers, the sections and their table.
func (b builder) build() []byte {
	var strs bytes.Buffer
	strs.WriteByte(0)
	str := func(s string) uint64 {
		off := strs.Len()
		strs.WriteString(s + "\x00")
		return uint64(off)
	}
	var dyn [][2]uint64
	for _, n := range b.needed {
		dyn = append(dyn, [2]uint64{1, str(n)})
	}
	for tag, s := range map[uint64]string{14: b.soname, 15: b.rpath, 29: b.runpath} {
		if s != "" {
			dyn = append(dyn, [2]uint64{tag, str(s)})
		}
	}
	if b.textrel {
		dyn = append(dyn, [2]uint64{30, 4})
	}
	// One file with all versions; symbol i has version i+2.
	need := le(nil, uint16(1), uint16(len(b.versions)), uint32(str("libc.so.6")), uint32(16), uint32(0))
	syms, vers := make([]byte, 24), le(nil, uint16(0))
	for i, v := range b.versions {
		next := uint32(16)
		if i == len(b.versions)-1 {
			next = 0
		}
		flags := uint16(0)
		name, weak := strings.CutPrefix(v, "weak:")
		if weak {
			flags = 2
		}
		need = le(need, uint32(0), flags, uint16(i+2), uint32(str(name)), next)
		syms = le(syms, uint32(str("symbol_of_"+name)), uint32(0x12), uint64(0), uint64(0))
		vers = le(vers, uint16(i+2))
	}
	var defined []byte
	if b.node != "" {
		for i, name := range []string{b.soname, b.node} {
			next := uint32(28)
			if i == 1 {
				next = 0
			}
			defined = le(defined, uint16(1), uint16(1-i), uint16(i+1), uint16(1), uint32(0), uint32(20), next, uint32(str(name)), uint32(0))
		}
		b.sections = append([]testSection{{".gnu.version_d", 0x6ffffffd, allocated, defined}}, b.sections...)
	}
	list := append([]testSection{{}, {".dynsym", dynsym, allocated, syms}, {".gnu.version", versym, allocated, vers},
		{".gnu.version_r", verneed, allocated, need}, {".dynstr", strtab, allocated, strs.Bytes()}}, b.sections...)
	names := []byte{0}
	file := make([]byte, 64+3*56)
	at := map[string]uint64{}
	var table []byte
	add := func(s testSection) {
		off := uint64(len(file))
		at[s.name] = off
		table = le(table, uint32(len(names)), s.kind, s.flags, off, off, uint64(len(s.data)), uint64(0), uint64(1), uint64(0))
		names = append(append(names, s.name...), 0)
		file = append(file, s.data...)
		for len(file)%8 != 0 {
			file = append(file, 0)
		}
	}
	for _, s := range list {
		add(s)
	}
	dyn = append(dyn, [2]uint64{5, at[".dynstr"]}, [2]uint64{10, uint64(strs.Len())}, [2]uint64{6, at[".dynsym"]})
	if len(b.versions) > 0 {
		dyn = append(dyn, [2]uint64{0x6ffffff0, at[".gnu.version"]}, [2]uint64{0x6ffffffe, at[".gnu.version_r"]}, [2]uint64{0x6fffffff, 1})
	}
	if b.node != "" {
		dyn = append(dyn, [2]uint64{0x6ffffffc, at[".gnu.version_d"]}, [2]uint64{0x6ffffffd, 2})
	}
	var dynamic []byte
	for _, d := range append(dyn, [2]uint64{}) {
		dynamic = le(dynamic, d[0], d[1])
	}
	add(testSection{".dynamic", 6, allocated, dynamic})
	names = append(names, ".shstrtab\x00"...)
	table = le(table, uint32(len(names)-10), uint32(strtab), uint64(0), uint64(0), uint64(len(file)), uint64(len(names)), uint64(0), uint64(1), uint64(0))
	file = append(file, names...)
	count := len(list) + 2
	header := le([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint16(3), uint16(62), uint32(1), uint64(0), uint64(64), uint64(len(file)),
		uint32(0), uint16(64), uint16(56), uint16(3), uint16(64), uint16(count), uint16(count-1))
	segments := 2
	header = le(header, uint32(1), uint32(4), uint64(0), uint64(0), uint64(0), uint64(len(file)), uint64(len(file)), uint64(8))
	header = le(header, uint32(2), uint32(6), at[".dynamic"], at[".dynamic"], uint64(0), uint64(len(dynamic)), uint64(len(dynamic)), uint64(8))
	if b.stack != 0 {
		segments = 3
		header = le(header, uint32(0x6474e551), b.stack, uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(8))
	}
	header[56] = byte(segments)
	copy(file, header)
	return append(file, table...)
}

// le appends numbers, little end first.
func le(b []byte, numbers ...any) []byte {
	for _, n := range numbers {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, n); err != nil {
			panic(err)
		}
	}
	return b
}

const plainStack = 6 // read and write

func TestWhatALibraryAsksOfItsHost(t *testing.T) {
	for name, c := range map[string]struct {
		b    builder
		want facts.ELF
	}{
		"names and search path": {builder{needed: []string{"liba.so.1", "libc.so.6"}, soname: "libx.so.2", runpath: "$ORIGIN:/opt/x", stack: plainStack},
			facts.ELF{Needed: []string{"liba.so.1", "libc.so.6"}, Soname: "libx.so.2", Runpath: []string{"$ORIGIN", "/opt/x"}}},
		"RPATH": {builder{rpath: "/opt/x", stack: plainStack}, facts.ELF{Runpath: []string{"/opt/x"}, Findings: []string{"rpath"}}},
		"RUNPATH wins over RPATH": {builder{rpath: "/opt/x", runpath: "$ORIGIN", stack: plainStack},
			facts.ELF{Runpath: []string{"$ORIGIN"}, Findings: []string{"rpath"}}},
		"versions are compared as numbers": {builder{versions: []string{"GLIBC_2.9", "GLIBC_2.28", "GLIBC_2.3.4", "GLIBCXX_3.4.9", "GLIBCXX_3.4.30", "CXXABI_1.3.9", "CXXABI_FLOAT128"}, stack: plainStack},
			facts.ELF{Glibc: "2.28", GlibcSymbol: "symbol_of_GLIBC_2.28", Glibcxx: "3.4.30", GlibcxxSymbol: "symbol_of_GLIBCXX_3.4.30",
				CXXABI: "1.3.9", CXXABISymbol: "symbol_of_CXXABI_1.3.9"}},
		"a weak version is no demand": {builder{versions: []string{"GLIBC_2.17", "weak:GLIBC_2.38"}, stack: plainStack},
			facts.ELF{Glibc: "2.17", GlibcSymbol: "symbol_of_GLIBC_2.17"}},
		"a private version is a finding": {builder{versions: []string{"GLIBC_PRIVATE", "GLIBC_2.17"}, stack: plainStack},
			facts.ELF{Glibc: "2.17", GlibcSymbol: "symbol_of_GLIBC_2.17", Findings: []string{"glibc_private"}}},
		"packed relocations need glibc 2.36": {builder{versions: []string{"GLIBC_2.17", "GLIBC_ABI_DT_RELR"}, stack: plainStack},
			facts.ELF{Glibc: "2.36", GlibcBecause: "packed relocations (DT_RELR)"}},
		"packed relocations that force nothing": {builder{versions: []string{"GLIBC_ABI_DT_RELR", "GLIBC_2.38"}, stack: plainStack},
			facts.ELF{Glibc: "2.38", GlibcSymbol: "symbol_of_GLIBC_2.38"}},
		"what strip removes": {builder{stack: plainStack, sections: []testSection{{".debug_line", progbits, 0, []byte{1}}, {".gnu_debuglink", progbits, 0, []byte{1}}, {".symtab", 2, 0, make([]byte, 24)}}},
			facts.ELF{Findings: []string{"debug-info", "debug-link", "symtab"}}},
		"an executable stack":     {builder{stack: 7}, facts.ELF{Findings: []string{"execstack"}}},
		"no word about the stack": {builder{}, facts.ELF{Findings: []string{"execstack"}}},
		"relocations in the text and debug information": {builder{textrel: true, stack: plainStack, sections: []testSection{{".debug_info", progbits, 0, []byte{1}}}},
			facts.ELF{Findings: []string{"debug-info", "textrel"}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.b.build()
			got := read(t, b)
			c.want.BuildPaths = []string{}
			if diff := cmp.Diff(&c.want, got.ELF); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if got.Device != nil {
				t.Errorf("device code in a library without: %+v", got.Device)
			}
			for n := 0; n < len(b); n++ {
				mustSurvive(t, b[:n])
			}
		})
	}
}

func TestBuildPathsThatLeaked(t *testing.T) {
	for name, c := range map[string]struct {
		section, data string
		want          []string
	}{
		"a __FILE__":                        {".rodata", "\x00/src/ggml/src/ggml.c\x00", []string{"/src/ggml/src/ggml.c"}},
		"at the section's start":            {".rodata.str1.1", "/build/x.cpp\x00", []string{"/build/x.cpp"}},
		"many, once each and sorted":        {".rodata", "/src/b.c\x00/src/a.c\x00/src/b.c\x00", []string{"/src/a.c", "/src/b.c"}},
		"within a message, a source file":   {".rodata", "failed at /src/a.cu:12\x00", []string{"/src/a.cu"}},
		"within a message, no source file":  {".rodata", "put it in /src/models\x00", nil},
		"a relative path":                   {".rodata", "ggml/src/ggml.c\x00../src/a.c\x00", nil},
		"an address":                        {".rodata", "https://example.org/src/a.c\x00", nil},
		"a pattern":                         {".rodata", "/home/%s/models\x00", nil},
		"somebody's folder alone":           {".rodata", "/home/\x00/home/alice\x00/root/\x00", nil},
		"something in somebody's folder":    {".rodata", "/home/alice/llama/a.c\x00", []string{"/home/alice/llama/a.c"}},
		"paths that programs use by right":  {".rodata", "/usr/lib/x\x00/etc/passwd\x00/tmp/x\x00/proc/self\x00", nil},
		"the compiler's line in debug data": {".debug_str", "GNU C -I/src/include -O2\x00", []string{"/src/include"}},
		"the same in constant data":         {".rodata", "GNU C -I/src/include -O2\x00", nil},
		"in code":                           {".text", "\x00/src/a.c\x00", nil},
		"across the border of two pieces":   {".rodata", strings.Repeat("x", 1<<20-5) + "\x00/src/border.c\x00", []string{"/src/border.c"}},
		"at the border of two pieces":       {".rodata", strings.Repeat("x", 1<<20-1) + "\x00/src/border.c\x00", []string{"/src/border.c"}},
	} {
		t.Run(name, func(t *testing.T) {
			flags := uint64(allocated)
			if strings.HasPrefix(c.section, ".debug") {
				flags = 0
			}
			f := read(t, builder{stack: plainStack, sections: []testSection{{c.section, progbits, flags, []byte(c.data)}}}.build())
			if c.want == nil {
				c.want = []string{}
			}
			if diff := cmp.Diff(c.want, f.ELF.BuildPaths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
	f := read(t, builder{stack: plainStack, runpath: "/build/lib:$ORIGIN"}.build())
	if diff := cmp.Diff([]string{"/build/lib"}, f.ELF.BuildPaths); diff != "" {
		t.Errorf("paths in RUNPATH (-want +got):\n%s", diff)
	}
}

func TestTheListOfPathsIsBounded(t *testing.T) {
	var data strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&data, "/src/%d.c\x00", i)
	}
	f := read(t, builder{stack: plainStack, sections: []testSection{{".rodata", progbits, allocated, []byte(data.String())}}}.build())
	if n := len(f.ELF.BuildPaths); n != 256 {
		t.Errorf("%d paths are listed", n)
	}
}

// wrapped is a library with the containers of fat binaries and, for each
// number in versions, a wrapper that points to the container of that index.
func wrapped(containers [][]byte, versions []uint32) builder {
	b := builder{stack: plainStack}
	// The wrappers hold addresses, which depend on what lies before: build
	// twice, the second time with the addresses of the first.
	base := uint64(0)
	for range 2 {
		var fat, wrappers []byte
		for i, c := range containers {
			if i < len(versions) {
				wrappers = le(wrappers, uint32(0x466243b1), versions[i], base+uint64(len(fat)), uint64(0))
			}
			fat = append(fat, c...)
		}
		b.sections = []testSection{{".nv_fatbin", progbits, allocated, fat}, {".nvFatBinSegment", progbits, allocated, wrappers}}
		base = uint64(bytes.Index(b.build(), fat))
	}
	return b
}

func TestContainersAreUnitsAsTheirWrappersSay(t *testing.T) {
	full := samples(t)["11.8.89.fatbin"]
	empty := []byte("\x50\xed\x55\xba\x01\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for name, c := range map[string]struct {
		containers [][]byte
		versions   []uint32
		units      int
		stub       int
		empty      int
		linked     int
	}{
		"one each":                        {[][]byte{full, full}, []uint32{1, 1}, 2, 0, 0, 0},
		"no wrapper: a stub":              {[][]byte{full, full}, []uint32{1}, 1, 1, 0, 0},
		"nothing in a unit":               {[][]byte{full, empty}, []uint32{1, 1}, 2, 0, 1, 0},
		"version 2 and nothing: a stub":   {[][]byte{full, empty}, []uint32{1, 2}, 1, 1, 0, 0},
		"version 2 and a kernel: linked":  {[][]byte{full, full}, []uint32{1, 2}, 2, 0, 0, 1},
		"a version that nobody knows":     {[][]byte{full}, []uint32{3}, 1, 0, 0, 0},
		"no wrapper at all: only a stub":  {[][]byte{full}, nil, 0, 1, 0, 0},
		"two empty ones are one in facts": {[][]byte{empty, empty}, []uint32{1, 1}, 2, 0, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := read(t, wrapped(c.containers, c.versions).build()).Device
			var got struct{ units, stub, empty, linked int }
			got.units = d.Units
			if d.Ignored != nil {
				got.stub = d.Ignored.Stub
			}
			for _, g := range d.Groups {
				if g.Empty {
					got.empty += g.Units
				}
				if g.Linked {
					got.linked += g.Units
				}
			}
			if got.units != c.units || got.stub != c.stub || got.empty != c.empty || got.linked != c.linked {
				t.Errorf("got %+v of %+v, want %+v", got, d.Groups, c)
			}
		})
	}
}

func TestTheCUDARuntimeIsFoundInsideOrOutside(t *testing.T) {
	message := testSection{".rodata", progbits, allocated, []byte("CUDA driver version is insufficient for CUDA runtime version\x00")}
	full := samples(t)["11.8.89.fatbin"]
	fat := testSection{".nv_fatbin", progbits, allocated, full}
	for name, c := range map[string]struct {
		b    builder
		want *facts.Cudart
	}{
		"shared, CUDA 11":        {builder{needed: []string{"libcudart.so.11.0"}, sections: []testSection{fat}}, &facts.Cudart{Link: "shared", Major: 11}},
		"shared, CUDA 13":        {builder{needed: []string{"libcudart.so.13"}, sections: []testSection{fat}}, &facts.Cudart{Link: "shared", Major: 13}},
		"static":                 {builder{sections: []testSection{fat, message}}, &facts.Cudart{Link: "static"}},
		"no trace of it":         {builder{sections: []testSection{fat}}, nil},
		"a needed and a message": {builder{needed: []string{"libcudart.so.12"}, sections: []testSection{fat, message}}, &facts.Cudart{Link: "shared", Major: 12}},
	} {
		if diff := cmp.Diff(c.want, read(t, c.b.build()).Device.Cudart); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// section is the contents of a section of a sample.
func section(t *testing.T, sample, name string) []byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(samples(t)[sample]))
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Section(name).Data()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nvcc links libcudadevrt into files with PTX only. Its kernels are nobody's:
// the empty linked image beside them stays a stub.
func TestTheDeviceRuntimeMakesNoRelocatableProgram(t *testing.T) {
	full := samples(t)["11.8.89.fatbin"]
	empty := []byte("\x50\xed\x55\xba\x01\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for name, c := range map[string]struct {
		inputs      []byte
		units       int
		owner       string
		ignored     facts.Ignored
		wantIgnored bool
	}{
		"libcudadevrt": {section(t, "devrt.o", "__nv_relfatbin"), 1, facts.OwnerNVIDIA, facts.Ignored{Stub: 1, Relocatable: 1}, true},
		"our own":      {section(t, "r1.o", "__nv_relfatbin"), 2, facts.OwnerOwn, facts.Ignored{}, false},
	} {
		b := wrapped([][]byte{full, empty}, []uint32{1, 2})
		b.sections = append(b.sections, testSection{"__nv_relfatbin", progbits, allocated, c.inputs})
		d := read(t, b.build()).Device
		if d.Units != c.units || len(d.Relocatable) != 1 || d.Relocatable[0].Owner != c.owner {
			t.Errorf("%s: got %d units, inputs %+v", name, d.Units, d.Relocatable)
		}
		if (d.Ignored != nil) != c.wantIgnored || d.Ignored != nil && cmp.Diff(c.ignored, *d.Ignored) != "" {
			t.Errorf("%s: ignored %+v, want %+v", name, d.Ignored, c.ignored)
		}
	}
}

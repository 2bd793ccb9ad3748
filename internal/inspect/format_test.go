package inspect_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// nvcc13 are fat binaries of nvcc 13.0.88, named for their target and options.
func nvcc13(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/nvcc13.0/fatbins.tgz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryTargetAndCompressionOfCUDA13(t *testing.T) {
	// What the mode makes of machine code and of PTX, as nvcc 13.0 documents and
	// cuobjdump 13.0 reads it.
	modes := map[string][2]string{"": {"none", "zstd"}, "--compress-mode=balance": {"none", "zstd"}, "--compress-mode=speed": {"none", "lz4"},
		"--compress-mode=size": {"zstd", "zstd"}, "--no-compress": {"none", "none"}}
	n := 0
	for name, b := range nvcc13(t) {
		target, mode := strings.TrimSuffix(strings.TrimPrefix(name, "k_"), ".fatbin"), ""
		if i := strings.Index(target, "--"); i >= 0 {
			target, mode = target[:i], target[i:]
		}
		how, ok := modes[mode]
		if !ok {
			t.Fatalf("%s: mode %q", name, mode)
		}
		n++
		d := read(t, b).Device
		want := []facts.Image{{Kind: "sass", SM: target, Compression: how[0]}, {Kind: "ptx", SM: target, ISA: "9.0", ISAHeader: "9.0", Compression: how[1]}}
		if d.Units != 1 || d.Groups[0].Empty || d.Toolkit != "13.0" || cmp.Diff(want, d.Groups[0].Images) != "" {
			t.Errorf("%s: toolkit %q, %+v", name, d.Toolkit, d.Groups)
		}
		// Nobody has said what this flag means: it is on all cubins from sm_100 on.
		var unknown []facts.Unknown
		if len(strings.TrimRight(target, "af")) == 3 {
			unknown = []facts.Unknown{{What: "entry flag 0x1000000", Units: 1}}
		}
		if diff := cmp.Diff(unknown, d.Unknown); diff != "" {
			t.Errorf("%s: unknown (-want +got):\n%s", name, diff)
		}
	}
	if n != 55 {
		t.Errorf("%d samples, want 11 targets in 5 modes", n)
	}
}

func TestABareCubinOfCUDA13KnowsItsSuffixAsFarAsItsNotesTell(t *testing.T) {
	all := nvcc13(t)
	for target, want := range map[string]string{"75": "75", "90": "90", "90a": "90a", "100": "100", "120a": "120a", "121a": "121a"} {
		e := all["k_"+target+"--no-compress.fatbin"][16:]
		header, size := number(e[4:8]), number(e[8:16])
		d := read(t, e[header:header+size]).Device
		if d.Units != 1 || d.Groups[0].Images[0].SM != want || d.Toolkit != "13.0" || d.Groups[0].Empty {
			t.Errorf("sm_%s: toolkit %q, %+v", target, d.Toolkit, d.Groups)
		}
	}
}

func TestEntryHeadersOfAllSizes(t *testing.T) {
	plain := entries(t, "12.4.131.fatbin")
	want := read(t, container(plain...)).Device
	for size := 64; size <= 144; size += 8 {
		var list [][]byte
		for _, e := range plain {
			header := number(e[4:8])
			grown := append(bytes.Clone(e[:64]), make([]byte, size-64)...)
			grown[4], grown[5] = byte(size), byte(size>>8)
			list = append(list, append(grown, e[header:]...))
		}
		if diff := cmp.Diff(want, read(t, container(list...)).Device); diff != "" {
			t.Errorf("headers of %d bytes (-want +got):\n%s", size, diff)
		}
	}
	for _, size := range []int{0, 16, 63} {
		short := bytes.Clone(plain[0])
		short[4], short[5] = byte(size), 0
		refused(t, container(short), fmt.Sprintf("an entry header that claims %d bytes", size))
	}
}

func TestOtherKindsOfEntriesAreNamed(t *testing.T) {
	for kind, want := range map[uint16]string{4: "old-cubin", 8: "nvvm-ir", 16: "mercury", 32: "0x20", 0: "0x0"} {
		d := read(t, container(fatEntry(kind, 90, 0x11, []byte("something"), 0))).Device
		if d.Groups[0].Images[0].Kind != want || d.Groups[0].Empty || len(d.Unknown) != 1 || d.Unknown[0].What != "entry kind "+want {
			t.Errorf("kind %d: %+v, unknown %+v", kind, d.Groups, d.Unknown)
		}
	}
}

func TestEveryFlagWithoutAMeaningIsShown(t *testing.T) {
	const known = 0x7f | 0xf000 | 0x100000 | 0x200000
	for bit := uint64(1); bit != 0; bit <<= 1 {
		e := bytes.Clone(entries(t, "11.8.89.fatbin")[0])
		if bit&0xf000 != 0 {
			continue // a compression
		}
		copy(e[40:], le(nil, uint64(0x11)|bit))
		d := read(t, container(e)).Device
		if shown := len(d.Unknown) == 1 && d.Unknown[0].What == fmt.Sprintf("entry flag %#x", bit); shown != (bit&known == 0) {
			t.Errorf("flag %#x: %+v", bit, d.Unknown)
		}
	}
}

func TestWhatIsNotReadIsRefusedByItsName(t *testing.T) {
	old := le(nil, uint32(0x1ee55a01), uint16(4), uint16(16), uint64(0))
	class32, big := bytes.Clone(samples(t)["mix.so"]), bytes.Clone(samples(t)["mix.so"])
	class32[4], big[5] = 1, 2
	newer := bytes.Clone(samples(t)["11.8.89.fatbin"])
	newer[4] = 2
	several := fatEntry(2, 80, 0x11|0x2000|0x8000, []byte("x"), 1)
	for says, b := range map[string][]byte{
		"of the form used before CUDA 4":       old,
		"only 64-bit little-endian ELF is":     class32,
		"ELF is read (class 2, data 2)":        big,
		"a container of version 2":             newer,
		"claims several compressions at once":  container(several),
		"a thin archive":                       []byte("!<thin>\n"),
		"a PTX text without a proper .version": []byte(".version x\n.target sm_80\n"),
	} {
		refused(t, b, says)
	}
}

// The files are nvcc's for x86-64 with machine and relocations of AArch64 put in:
// both hold the pointers of wrappers in the same places.
func TestWrappersOfAArch64AreFollowed(t *testing.T) {
	for name, kinds := range map[string]map[uint32]uint32{"mix.so": {8: 1027}, "nopie": {8: 1027}, "a.o": {1: 257}, "r1.o": {1: 257}} {
		b := samples(t)[name]
		want := read(t, b).Device
		arm := toAArch64(t, b, kinds)
		if diff := cmp.Diff(want, read(t, arm).Device); diff != "" {
			t.Errorf("%s (-x86 +aarch64):\n%s", name, diff)
		}
		if name == "nopie" {
			continue // its addresses need no relocation
		}
		half := toAArch64(t, b, nil)
		if d := read(t, half).Device; len(d.Unknown) == 0 && d.Units == want.Units {
			t.Errorf("%s: x86 relocations in a file of AArch64 were followed: %+v", name, d)
		}
	}
}

func toAArch64(t *testing.T, b []byte, kinds map[uint32]uint32) []byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	copy(b[18:], le(nil, uint16(183)))
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		for at := s.Offset; at < s.Offset+s.Size; at += 24 {
			if to, ok := kinds[uint32(number(b[at+8:at+12]))]; ok {
				copy(b[at+8:], le(nil, to))
			}
		}
	}
	return b
}

// nvprune leaves containers without entries; fatbinary leaves zeros between them.
func TestContainersMayBeEmptyAndFarApart(t *testing.T) {
	b := append(bytes.Clone(samples(t)["11.8.89.fatbin"]), make([]byte, 100<<10)...)
	b = append(append(b, container()...), samples(t)["12.4.131.fatbin"]...)
	d := read(t, b).Device
	if d.Units != 3 || len(d.Groups) != 3 {
		t.Errorf("got %+v, want three units", d.Groups)
	}
	if _, err := inspect.Reader(bytes.NewReader(append(b, 1)), int64(len(b)+1), "file"); err == nil {
		t.Error("a byte after the last container was passed over")
	}
}

package inspect_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/inspect"
)

// mustSurvive holds that foreign bytes give facts or a FormatError that names
// the file and a place in it, and nothing else.
func mustSurvive(t testing.TB, b []byte, want ...inspect.Want) {
	f, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), "file", want...)
	if err != nil {
		var format *inspect.FormatError
		if !errors.As(err, &format) {
			t.Fatalf("a damaged file gave an error of another kind: %v", err)
		}
		if !strings.HasPrefix(format.File, "file") || format.What == "" || f.Device != nil || f.ELF != nil {
			t.Fatalf("got %#v beside facts %+v", format, f)
		}
		return
	}
	if f.Device == nil {
		return
	}
	n := 0
	for _, g := range f.Device.Groups {
		if g.Units <= 0 {
			t.Fatalf("a group of %d units", g.Units)
		}
		n += g.Units
	}
	if n != f.Device.Units {
		t.Fatalf("%d units in groups, %d in all", n, f.Device.Units)
	}
}

func TestEveryPrefixOfASampleGivesFactsOrAFormatError(t *testing.T) {
	for name, b := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := 1 + len(b)/1000
			for n := 0; n < len(b); n += step {
				mustSurvive(t, b[:n:n])
			}
		})
	}
}

func TestAPrefixOfASharedLibraryIsNotTakenForAWholeOne(t *testing.T) {
	b := samples(t)["mix.so"]
	for _, n := range []int{64, 1000, len(b) / 2, len(b) - 1} {
		_, err := inspect.Reader(bytes.NewReader(b[:n]), int64(n), "cut.so")
		var format *inspect.FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("the first %d of %d bytes gave %v", n, len(b), err)
		}
	}
}

func TestEveryFlippedByteOfASampleGivesFactsOrAFormatError(t *testing.T) {
	for name, b := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bytes.Clone(b)
			step := 1 + len(b)/700
			for i := 0; i < len(b); i++ {
				// Headers of the ELF file are at both ends, a container's in front.
				if i%step != 0 && i > 256 && i < len(b)-512 {
					continue
				}
				for _, mask := range []byte{0xff, 0x01} {
					b[i] ^= mask
					mustSurvive(t, b)
					b[i] ^= mask
				}
			}
		})
	}
}

func fuzz(f *testing.F, keep func(name string) bool) {
	n := 0
	for name, b := range samples(f) {
		if keep(name) {
			f.Add(b)
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seed in testdata")
	}
	f.Fuzz(func(t *testing.T, b []byte) { mustSurvive(t, b, inspect.CPU, inspect.Kernels) })
}

func FuzzELF(f *testing.F) {
	all := samples(f)
	unit := all["12.4.131.fatbin"]
	f.Add(object("libcublas.so.12", "libcublas.so.12", unit, container()))
	f.Add(object("", "", container(fatEntry(2, 80, 0x8011, bomb(f, "zstd", 1<<16), 1<<16), fatEntry(2, 80, 0x2011, bomb(f, "lz4", 1<<16), 1<<16))))
	f.Add(builder{versions: []string{"GLIBC_2.34", "weak:GLIBC_2.36"}, needed: []string{"libc.so.6"}, runpath: "$ORIGIN", soname: "a.so", node: "A_1"}.build())
	fuzz(f, func(name string) bool {
		return strings.HasSuffix(name, ".so") || strings.HasSuffix(name, ".o") || name == "nopie"
	})
}

func FuzzFatbin(f *testing.F) {
	for how, flag := range map[string]uint64{"zlib": 0x1000, "lz4": 0x2000, "lz4-frame": 0x4000, "zstd": 0x8000} {
		f.Add(container(fatEntry(2, 80, 0x11|flag, bomb(f, how, 1<<16), 1<<16)))
	}
	f.Add(append(container(), container(fatEntry(8, 100, 0x200011, nil, 0), fatEntry(16, 90, 0x100011, []byte("x"), 0))...))
	fuzz(f, func(name string) bool { return strings.HasSuffix(name, ".fatbin") })
}

func FuzzCubin(f *testing.F) {
	fuzz(f, func(name string) bool { return strings.HasSuffix(name, ".cubin") })
}

func FuzzArchive(f *testing.F) {
	all := samples(f)
	f.Add(archive("a.o/", all["a.o"], "b.cubin/", all["12.5.40-80.cubin"]))
	f.Add(archive("//", []byte("long_name_of_a_member.o/\n"), "/0", all["r1.o"]))
	f.Add(archive("#1/4", append([]byte("a.o\x00"), all["a.o"]...)))
	f.Add(archive("unit.o/", object("", "", all["12.4.131.fatbin"]), "/", []byte{0, 0, 0, 0}, "__.SYMDEF", []byte{}))
	f.Fuzz(func(t *testing.T, b []byte) { mustSurvive(t, b, inspect.CPU, inspect.Kernels) })
}

func FuzzPTX(f *testing.F) {
	f.Add([]byte(".version 8.4\n.target sm_75\n.address_size 64\n.visible .entry k(){ret;}"))
	f.Add([]byte("// comment\n/* more */ .version 7.8 .target sm_90a, debug .global .u32 a = 1;"))
	f.Fuzz(func(t *testing.T, b []byte) { mustSurvive(t, b, inspect.CPU, inspect.Kernels) })
}

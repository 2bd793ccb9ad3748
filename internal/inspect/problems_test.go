package inspect_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

func sass(sm, compression string) facts.Image {
	return facts.Image{Kind: facts.KindSASS, SM: sm, Compression: compression}
}

func ptx(sm, isa, header string) facts.Image {
	return facts.Image{Kind: facts.KindPTX, SM: sm, ISA: isa, ISAHeader: header, Compression: "lz4"}
}

func own(units int, images ...facts.Image) facts.Group {
	return facts.Group{Units: units, Owner: facts.OwnerOwn, Images: images}
}

func TestWhatIsWrongIsSaidWithACure(t *testing.T) {
	for name, c := range map[string]struct {
		file facts.File
		want []string
	}{
		"nothing": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(3, sass("75", "none")), {Units: 1, Empty: true}}}, ELF: &facts.ELF{Runpath: []string{"$ORIGIN", "$ORIGIN/../lib"},
			Needs: []facts.LibraryNeed{{Soname: "libc.so.6", By: facts.ByLibc}, {Soname: "liba.so", By: facts.ByBundle, File: "liba.so"}}}}, nil},
		"units that disagree": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(140, sass("75", "none"), sass("80", "none")), own(3, sass("75", "none"))}}},
			[]string{"units-disagree: 3 of 143 units have no machine code for sm_80; they hold sm_75 SASS"}},
		"NVIDIA's units are left out": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(3, sass("75", "none")), {Units: 9, Owner: facts.OwnerNVIDIA, Images: []facts.Image{sass("80", "zstd")}}}}}, nil},
		"PTX only": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(143, ptx("50", "8.7", "8.7"), ptx("75", "8.7", "8.7"))}}},
			[]string{"ptx-only: 143 of 143 units hold PTX only (up to ISA 8.7): each driver must be new enough to compile it, and the first start is slow"}},
		"PTX alone for some, as in the story": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(143, sass("86", "none"), sass("89", "none"), sass("120a", "none"), ptx("75", "8.7", "8.7"), ptx("80", "8.7", "8.7"), ptx("86", "8.7", "8.7"), ptx("120", "8.7", "8.7"))}}},
			[]string{"ptx-alone: for sm_75, sm_80 there is PTX and no machine code (up to ISA 8.7, in 143 of 143 units): on such GPUs the driver must be new enough to compile it, and the first start is slow"}},
		"machine code of a family": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(2, sass("100f", "none"), sass("120", "none"), ptx("103", "9.0", "9.0"), ptx("110", "9.0", "9.0"))}}},
			[]string{"ptx-alone: for sm_110 there is PTX and no machine code (up to ISA 9.0, in 2 of 2 units): on such GPUs the driver must be new enough to compile it, and the first start is slow"}},
		"a Tegra chip runs no other's": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(2, sass("80", "none"), sass("89", "none"), ptx("87", "8.4", "8.4"))}}},
			[]string{"ptx-alone: for sm_87 there is PTX and no machine code (up to ISA 8.4, in 2 of 2 units): on such GPUs the driver must be new enough to compile it, and the first start is slow"}},
		"compression": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(2, sass("75", "zstd")), own(1, sass("75", "zlib"))}}},
			[]string{"compressed: machine code in 2 units is packed with zstd: drivers before 550.54.14 (CUDA 12.4) fail",
				"compressed: machine code in 1 unit is packed with zlib: which drivers unpack it is not known"}},
		"PTX that says two things": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(2, sass("75", "none"), ptx("75", "9.9", "9.0"))}}},
			[]string{"ptx-isa: PTX for sm_75 says ISA 9.9 in its text and 9.0 in its header, in 2 units"}},
		"mixed": {facts.File{Device: &facts.Device{Groups: []facts.Group{{Units: 1, Owner: facts.OwnerMixed, Images: []facts.Image{sass("75", "none")}}}}},
			[]string{"mixed-units: images of NVIDIA's lie beside others in 1 unit"}},
		"kernels": {facts.File{Device: &facts.Device{Groups: []facts.Group{own(2, sass("75", "none"))}, Kernels: &facts.Kernels{Differ: 1}}},
			[]string{"kernels-differ: 1 kernel is missing for some SM that their unit has images for"}},
		"loading": {facts.File{ELF: &facts.ELF{Runpath: []string{"", "/opt/lib"}, Findings: []string{"execstack", "glibc_private", "no-sections", "rpath", "textrel"},
			Needs: []facts.LibraryNeed{{Soname: "libgomp.so.1", By: facts.ByNobody}, {Soname: "liba.so", By: facts.ByBundle, File: "lib/liba.so", Unreached: true}}}},
			[]string{"missing-library: it needs libgomp.so.1, which no file here, nor glibc, the driver or CUDA brings",
				"runpath: it needs liba.so; lib/liba.so is here, but its search path does not find it",
				"runpath: an empty element in its RUNPATH stands for the working directory",
				"runpath: its RUNPATH names /opt/lib, a folder of one machine",
				"execstack: it demands an executable stack, which hardened hosts refuse",
				"private-symbols: it uses GLIBC_PRIVATE, which another glibc need not have",
				"no-sections: it has no section headers: device code in it was not looked for",
				"rpath: it has RPATH, which LD_LIBRARY_PATH cannot override",
				"textrel: it has relocations in its code, which hardened hosts refuse"}},
		"leaks": {facts.File{ELF: &facts.ELF{BuildPaths: []string{"/home/a/x.c"}, Users: []string{"a"}, Findings: []string{"debug-info", "debug-link", "symtab"}, Glibc: "2.36", GlibcBecause: "packed relocations (DT_RELR)"}},
			[]string{"relr: only packed relocations (DT_RELR) make it need glibc 2.36", "build-path: 1 path of the build machine leaked into it, such as /home/a/x.c",
				"user-name: it names who built it: a", "debug-data: data for debuggers was left in it (.debug_*, .symtab, .gnu_debuglink)"}},
		"a variant that uses too much": {facts.File{Path: "libggml-cpu-sse42.so", ELF: &facts.ELF{CPU: &facts.CPU{Uses: []facts.CPUUse{{ISA: "sse4_2", Functions: 3}, {ISA: "avx", Functions: 1}}}}},
			[]string{"cpu: it uses avx in 1 function, which the variant sse42 has not"}},
		"NVIDIA's with two versions": {facts.File{ELF: &facts.ELF{NVIDIA: &facts.Redistributable{Library: "cudart", Name: "12.4.127", Content: "11.8", Version: "11.8"}}},
			[]string{"nvidia-version: its name says version 12.4.127, the file itself 11.8"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range inspect.Problems(c.file) {
				got = append(got, p.Code+": "+p.Text)
				if p.Cure == "" {
					t.Errorf("%s: no cure", p.Code)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// Paths and names may be longer than a line; nothing else is.
func TestTheTextFitsEightyColumns(t *testing.T) {
	f := facts.File{Path: "libx.so", ELF: &facts.ELF{Needed: strings.Fields(strings.Repeat("libsomething.so.1 ", 9)), BuildPaths: []string{}, Glibc: "2.36", GlibcBecause: "packed relocations (DT_RELR)",
		CPU: &facts.CPU{Level: "x86-64-v4", Uses: []facts.CPUUse{{ISA: "avx", Functions: 1234}, {ISA: "avx2", Functions: 1234}, {ISA: "avx512", Functions: 1234}}, Dispatch: []string{"cpuid", "ifunc"}}},
		Device: &facts.Device{Units: 143, SASS: []facts.Target{{SM: "75", Units: 143, Compression: "none"}}, Groups: []facts.Group{own(140, sass("75", "none"), sass("80", "none"), sass("86", "none")), own(3, ptx("75", "8.7", "8.8"), ptx("80", "8.7", "8.7"))},
			Kernels: &facts.Kernels{Targets: []facts.KernelTarget{{Name: "sm_75", Units: 143, Kernels: 9}}, Differ: 9, Sets: []facts.KernelSet{{In: []string{"sm_75"}, Lacks: []string{"sm_80", "sm_86"}, Count: 9,
				Kernels: []facts.Kernel{{Name: strings.Repeat("_Z", 99), Demangled: strings.Repeat("kernel<float>", 40)}}}}}}}
	f.Problems = inspect.Problems(f)
	var out bytes.Buffer
	if err := inspect.Table(&out, facts.Report{Files: []facts.File{f}}); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(l, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
	if len(f.Problems) < 5 || strings.Count(out.String(), "wrong:") != len(f.Problems) || strings.Count(out.String(), "->") != len(f.Problems) {
		t.Errorf("%d problems in:\n%s", len(f.Problems), out.String())
	}
}

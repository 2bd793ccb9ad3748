package verify_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

func sass(sm string) facts.Image {
	return facts.Image{Kind: facts.KindSASS, SM: sm, Compression: "none"}
}

func ptx(sm, isa string) facts.Image {
	return facts.Image{Kind: facts.KindPTX, SM: sm, ISA: isa, ISAHeader: isa, Compression: "lz4"}
}

// plan is a cell for Turing with CUDA 11.8.
func plan() matrix.Plan {
	return matrix.Plan{Cell: matrix.Cell{ID: "cuda11.8-sm75", Toolkit: "11.8.0", SMs: []string{"75"}}, Expect: []string{"libggml-cuda.so", "llama-server"}}
}

// bundle is a folder that keeps plan's promise; tests break it.
func bundle() facts.Report {
	return facts.Report{Schema: 1, Files: []facts.File{
		{Path: "LICENSES/llama.cpp.txt"},
		{Path: "libggml-base.so", ELF: &facts.ELF{Soname: "libggml-base.so", Needed: []string{"libc.so.6"}, Glibc: "2.17"}},
		{Path: "libggml-cuda.so", ELF: &facts.ELF{Needed: []string{"libggml-base.so", "libcudart.so.11.0", "libcublas.so.11", "libcuda.so.1", "libc.so.6"},
			Runpath: []string{"$ORIGIN"}, Glibc: "2.28", GlibcSymbol: "fcntl64", Glibcxx: "3.4.22"},
			Device: &facts.Device{Toolkit: "11.8", Units: 143, SASS: []facts.Target{{SM: "75", Units: 143, Compression: "none"}}, PTX: []facts.Target{},
				Groups: []facts.Group{{Units: 139, Owner: facts.OwnerOwn, Images: []facts.Image{sass("75")}}, {Units: 4, Empty: true}}, Ignored: &facts.Ignored{Stub: 1}}},
		{Path: "llama-server", ELF: &facts.ELF{Needed: []string{"libggml-base.so", "libstdc++.so.6", "libc.so.6"}, Runpath: []string{"$ORIGIN"}, Glibc: "2.17"}},
	}}
}

func TestABundleThatKeepsItsPromiseHasNoMiss(t *testing.T) {
	if got := verify.Cell(plan(), bundle(), verify.Options{MaxGlibc: "2.28", MaxGlibcxx: "3.4.25"}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestMissesSayWhatIsThereInstead(t *testing.T) {
	cuda := func(r facts.Report) *facts.File { return &r.Files[2] }
	for name, c := range map[string]struct {
		breakIt func(*matrix.Plan, facts.Report)
		want    []string
	}{
		"PTX only, as in the story": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).Device.Groups[0].Images = []facts.Image{ptx("75", "7.8")}
		}, []string{
			"sass-missing libggml-cuda.so 75: no machine code for sm_75 in 139 of 139 units: 139 hold PTX only (compute_75, ISA 7.8)",
			"ptx-unexpected libggml-cuda.so 75: PTX for compute_75 in 139 of 139 units, which the cell does not promise"}},
		"one unit of many": {func(p *matrix.Plan, r facts.Report) {
			d := cuda(r).Device
			d.Groups = []facts.Group{{Units: 138, Owner: "own", Images: []facts.Image{sass("75")}}, {Units: 1, Owner: "own", Images: []facts.Image{sass("86")}}, {Units: 4, Empty: true}}
		}, []string{
			"sass-missing libggml-cuda.so 75: no machine code for sm_75 in 1 of 139 units: 1 holds sm_86 SASS",
			"sass-unexpected libggml-cuda.so 86: machine code for sm_86 in 1 of 139 units, which the cell does not promise"}},
		"a suffix is another SM": {func(p *matrix.Plan, r facts.Report) {
			p.Cell.SMs = []string{"120a"}
			cuda(r).Device.Groups[0].Images = []facts.Image{sass("120")}
		}, []string{
			"sass-missing libggml-cuda.so 120a: no machine code for sm_120a in 139 of 139 units: 139 hold sm_120 SASS",
			"sass-unexpected libggml-cuda.so 120: machine code for sm_120 in 139 of 139 units, which the cell does not promise"}},
		"a unit without any image": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).Device.Groups[0].Images = nil
		}, []string{"sass-missing libggml-cuda.so 75: no machine code for sm_75 in 139 of 139 units: 139 hold nothing"}},
		"promised PTX is missing": {func(p *matrix.Plan, r facts.Report) { p.Cell.PTX = []string{"90"} }, []string{
			"ptx-missing libggml-cuda.so 90: no PTX for compute_90 in 139 of 139 units: 139 hold sm_75 SASS"}},
		"zstd": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).Device.Groups[0].Images[0].Compression = "zstd"
		}, []string{"compressed libggml-cuda.so: machine code is compressed (zstd) in 139 of 139 units"}},
		"LZ4 machine code": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).Device.Groups[0].Images[0].Compression = "lz4"
		}, []string{"compressed libggml-cuda.so: machine code is compressed (lz4) in 139 of 139 units"}},
		"another toolkit": {func(p *matrix.Plan, r facts.Report) { cuda(r).Device.Toolkit = "12.4" }, []string{
			"toolkit-differs libggml-cuda.so: its device code was made by CUDA 12.4, the cell says 11.8.0"}},
		"a PTX text that was changed": {func(p *matrix.Plan, r facts.Report) {
			p.Cell.PTX = []string{"75"}
			i := ptx("75", "9.9")
			i.ISAHeader = "7.8"
			g := &cuda(r).Device.Groups[0]
			g.Images = append(g.Images, i)
		}, []string{"ptx-isa-differs libggml-cuda.so: the PTX text and its header name different ISAs in 139 units"}},
		"relocatable code": {func(p *matrix.Plan, r facts.Report) { cuda(r).Device.Groups[0].Linked = true }, []string{
			"relocatable-code libggml-cuda.so: it holds relocatable device code (139 units), which llama.cpp does not use"}},
		"no device code at all": {func(p *matrix.Plan, r facts.Report) { cuda(r).Device = nil }, []string{
			"device-code-missing : no file holds device code of its own, but the cell promises sm_75 SASS"}},
		"device code in a cell without CUDA": {func(p *matrix.Plan, r facts.Report) {
			p.Cell = matrix.Cell{ID: "cpu"}
			cuda(r).ELF.Needed = []string{"libc.so.6"}
		}, []string{"device-code-unexpected libggml-cuda.so: it holds device code (143 units), which a cell without CUDA has no use for"}},
		"a library of CUDA in a cell without": {func(p *matrix.Plan, r facts.Report) {
			p.Cell = matrix.Cell{ID: "cpu"}
			cuda(r).Device, cuda(r).ELF.Needed = nil, []string{"libcuda.so.1"}
		}, []string{"missing-library libggml-cuda.so: it needs libcuda.so.1, which neither the bundle nor libc brings"}},
		"a runtime of another major version": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).ELF.Needed = []string{"libcudart.so.12", "libnccl.so.2", "libgomp.so.1"}
		}, []string{
			"missing-library libggml-cuda.so: it needs libcudart.so.12, which neither the bundle nor libc, the driver or CUDA 11.8.0 brings",
			"missing-library libggml-cuda.so: it needs libnccl.so.2, which neither the bundle nor libc, the driver or CUDA 11.8.0 brings",
			"missing-library libggml-cuda.so: it needs libgomp.so.1, which neither the bundle nor libc, the driver or CUDA 11.8.0 brings"}},
		"a file is missing": {func(p *matrix.Plan, r facts.Report) {
			p.Expect = append(p.Expect, "LICENSES/", "libggml-cpu-*.so", "bench")
		}, []string{"file-missing bench: the file is not there", "file-missing libggml-cpu-*.so: the file is not there"}},
		"no RUNPATH": {func(p *matrix.Plan, r facts.Report) { cuda(r).ELF.Runpath = nil }, []string{
			"runpath libggml-cuda.so: it needs libraries of the bundle and has no RUNPATH to find them"}},
		"the working directory in RUNPATH": {func(p *matrix.Plan, r facts.Report) { cuda(r).ELF.Runpath = []string{"$ORIGIN", ""} }, []string{
			`runpath libggml-cuda.so: its RUNPATH "$ORIGIN:" has an empty element, which means the working directory`}},
		"a foreign RUNPATH and RPATH": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).ELF.Runpath, cuda(r).ELF.Findings = []string{"/usr/local/cuda/lib64"}, []string{"rpath"}
		}, []string{"runpath libggml-cuda.so: it has RPATH, which overrides the user's LD_LIBRARY_PATH, instead of RUNPATH",
			`runpath libggml-cuda.so: its RUNPATH is "/usr/local/cuda/lib64" instead of "$ORIGIN"`}},
		"too new a libc": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).ELF.Glibc, cuda(r).ELF.GlibcSymbol, cuda(r).ELF.Glibcxx = "2.34", "dlclose", "3.4.30"
		}, []string{`glibc-too-new libggml-cuda.so: it needs glibc 2.34 because of "dlclose", the promise is 2.28`,
			"libstdcxx-too-new libggml-cuda.so: it needs GLIBCXX_3.4.30, the promise is 3.4.25"}},
		"leaks and an executable stack": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).ELF.BuildPaths = []string{"/src/a.cu", "/src/b.cu"}
			cuda(r).ELF.Findings = []string{"debug-info", "execstack", "textrel"}
		}, []string{"execstack libggml-cuda.so: it demands an executable stack, which hardened hosts refuse",
			"textrel libggml-cuda.so: it has relocations in its code (TEXTREL)",
			"debug-data libggml-cuda.so: data for debuggers was left in it (debug-info)",
			"build-path libggml-cuda.so: 2 paths of the build machine leaked into it, such as /src/a.cu"}},
		"a name of who built it": {func(p *matrix.Plan, r facts.Report) {
			cuda(r).ELF.BuildPaths, cuda(r).ELF.Users = []string{"/home/alice/a.cu"}, []string{"alice", "root@buildd"}
		}, []string{"user-name libggml-cuda.so: it names who built it: root@buildd",
			"build-path libggml-cuda.so: 1 paths of the build machine leaked into it, such as /home/alice/a.cu"}},
		"a library that only has the SONAME": {func(p *matrix.Plan, r facts.Report) { r.Files[1].Path = "libggml-base.so.0.1" }, []string{
			"missing-library libggml-cuda.so: it needs libggml-base.so, and libggml-base.so.0.1 has only the SONAME: the loader looks for a file of that name",
			"missing-library llama-server: it needs libggml-base.so, and libggml-base.so.0.1 has only the SONAME: the loader looks for a file of that name"}},
		"AVX in a baseline path": {func(p *matrix.Plan, r facts.Report) {
			r.Files[1].ELF.CPU = &facts.CPU{Level: "x86-64-v3", Baseline: 2, Beyond: 300, Dispatch: []string{"cpuid"}, Uses: []facts.CPUUse{{ISA: "avx", Instructions: 9999, Functions: 300}}}
		}, []string{"cpu-baseline libggml-base.so: its code needs x86-64-v3, the promise is x86-64: avx in 300 functions"}},
		"AVX that is chosen at run time": {func(p *matrix.Plan, r facts.Report) {
			r.Files[1].ELF.CPU = &facts.CPU{Level: "x86-64-v3", Baseline: 600, Beyond: 300, Dispatch: []string{"ifunc"}, Uses: []facts.CPUUse{{ISA: "avx", Instructions: 9999, Functions: 300}}}
		}, nil},
		"a CPU variant and one that uses more than its name says": {func(p *matrix.Plan, r facts.Report) {
			cpu := &facts.CPU{Level: "x86-64-v3", Baseline: 600, Beyond: 300, Dispatch: []string{"cpuid"}, Uses: []facts.CPUUse{{ISA: "avx", Functions: 300}, {ISA: "fma", Functions: 1}}}
			r.Files[1].ELF.CPU, cuda(r).ELF.CPU = nil, nil
			r.Files[0] = facts.File{Path: "libggml-cpu-piledriver.so", ELF: &facts.ELF{CPU: cpu}}
			r.Files[3].Path, r.Files[3].ELF.CPU = "libggml-cpu-sandybridge.so", cpu
		}, []string{"cpu-baseline libggml-cpu-sandybridge.so: it uses fma in 1 function, which llama.cpp's variant sandybridge is not built for", "file-missing llama-server: the file is not there"}},
		"a link out of the bundle": {func(p *matrix.Plan, r facts.Report) {
			r.Files[0] = facts.File{Path: "libggml.so", Link: "../lib/libggml.so.0"}
		}, []string{"link-outside libggml.so: it is a link to ../lib/libggml.so.0, which is not in the bundle"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := plan(), bundle()
			c.breakIt(&p, r)
			var got []string
			for _, m := range verify.Cell(p, r, verify.Options{MaxGlibc: "2.28", MaxGlibcxx: "3.4.25"}) {
				if m.Fix == "" {
					t.Errorf("%s has no fix", m.Code)
				}
				where := m.File
				if m.SM != "" {
					where += " " + m.SM
				}
				got = append(got, m.Code+" "+where+": "+m.Text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("misses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNVIDIAsLibrariesAreNotJudged(t *testing.T) {
	r := bundle()
	r.Files = append(r.Files, facts.File{Path: "libcublas.so.11", ELF: &facts.ELF{Soname: "libcublas.so.11", Needed: []string{"libcublasLt.so.11"}, Findings: []string{"textrel"}},
		Device: &facts.Device{Toolkit: "11.8", Units: 1, Groups: []facts.Group{{Units: 1, Owner: facts.OwnerNVIDIA, Images: []facts.Image{sass("35")}}}}})
	if got := verify.Cell(plan(), r, verify.Options{}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestLZ4IsFineWhereTheCellPromisesIt(t *testing.T) {
	r := bundle()
	r.Files[2].Device.Groups[0].Images[0].Compression = "lz4"
	if got := verify.Cell(plan(), r, verify.Options{Compression: verify.CompressionLZ4}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// The two packages meet: a real file, read, against a cell it does not keep.
func TestARealLibraryAgainstItsCell(t *testing.T) {
	f, err := inspect.File("../inspect/testdata/mix.so")
	if err != nil {
		t.Fatal(err)
	}
	f.Path = "mix.so"
	p := matrix.Plan{Cell: matrix.Cell{ID: "x", Toolkit: "11.8.0", SMs: []string{"75", "80"}, PTX: []string{"80"}}}
	got := verify.Cell(p, facts.Report{Files: []facts.File{f}}, verify.Options{})
	if len(got) != 1 || got[0].Code != verify.SASSMissing || got[0].SM != "80" ||
		!strings.Contains(got[0].Text, "in 1 of 1 unit: 1 holds sm_75 SASS, compute_80 PTX (ISA 7.8)") {
		t.Errorf("got %v", got)
	}
}

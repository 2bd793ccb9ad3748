package compat

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

func judgeFile(f facts.File, h facts.Host) facts.Candidate {
	return Judge(ForFiles(f.Path, []facts.File{f}), h)
}

// codeAlone is a host of whose libraries nothing is known: what is judged is code.
func codeAlone(h facts.Host) facts.Host {
	h.Libs, h.Unknown = nil, map[string]string{"libs": NotGiven}
	return h
}

// find is the first reason with a code.
func find(t *testing.T, c facts.Candidate, code string) facts.Reason {
	t.Helper()
	for _, r := range c.Reasons {
		if r.Code == code {
			return r
		}
	}
	t.Fatalf("no reason %s for %s: %s, %v", code, c.Bundle, c.Verdict, codes(c.Reasons))
	return facts.Reason{}
}

// llama.cpp's default build with CUDA 12.8 lists 750 among its ARCHS and holds
// PTX only for a T4: dead on Colab's drivers, with error 222. On an RTX 3090
// with the same driver its machine code is there and zstd hides it: 200. Our own
// cells run on the same hosts.
func TestTheStoryOfTheT4(t *testing.T) {
	theirs := buildOf(t, "llama.cpp-12.8-default")
	for driver, isa := range map[string]string{"535.104.05": "8.2", "550.54.15": "8.4"} {
		h := codeAlone(colab(driver))
		c := judgeFile(theirs.file, h)
		r := find(t, c, facts.PTXISATooNew)
		if c.Verdict != facts.VerdictRefused || r.CUDAError != 222 || r.Units != 143 || r.Of != 143 || r.Need.CUDA != "12.8" || r.Need.Driver != "570.26" || r.Have.Driver != driver {
			t.Errorf("%s: %s %+v", driver, c.Verdict, r)
		}
		for _, s := range []string{"PTX ISA 8.7", "PTX ISA " + isa, driver, "libggml-cuda.so", "the provided PTX was compiled with an unsupported toolchain"} {
			if !strings.Contains(r.Text, s) {
				t.Errorf("%s: %q does not name %q", driver, r.Text, s)
			}
		}
		for _, cell := range []string{"cuda11.8-sm75", "cuda12.4-sm75", "cuda11.8-all", "cuda12.8-all"} {
			if c := judgeFile(buildOf(t, cell).file, h); c.Verdict != facts.VerdictNative || *c.GPUs[0].Via != facts.ViaSASS {
				t.Errorf("%s: our %s is %s %v", driver, cell, c.Verdict, codes(c.Reasons))
			}
		}
	}
	rtx := hostWith("535.104.05", "8.6")
	rtx.GPUs[0].Name = "NVIDIA GeForce RTX 3090"
	c := judgeFile(theirs.file, rtx)
	r := find(t, c, facts.CompressionTooNew)
	if c.Verdict != facts.VerdictRefused || r.CUDAError != 200 || !strings.Contains(r.Text, "zstd") || r.Need.Driver != "550.54.14" || r.Need.CUDA != "12.4" {
		t.Errorf("RTX 3090: %s %+v", c.Verdict, r)
	}
	if c := judgeFile(theirs.file, codeAlone(colab("570.26"))); c.Verdict != facts.VerdictJIT {
		t.Errorf("with 570.26 it is %s", c.Verdict)
	}
}

func TestAForeignFileNeedsItsLibrariesAsABundleDoes(t *testing.T) {
	file := func(runpath []string, needs ...facts.LibraryNeed) facts.File {
		f := cudaFile("12.4", own(1, "75"))
		f.ELF = &facts.ELF{Needed: []string{"libcudart.so.12", "libfoo.so.1"}, Runpath: runpath, Needs: needs}
		return f
	}
	cudart := facts.LibraryNeed{Soname: "libcudart.so.12", By: facts.ByCUDA}
	for name, c := range map[string]struct {
		file facts.File
		libs []facts.HostLib
		want string
	}{
		"no cudart anywhere":            {file([]string{"$ORIGIN"}, cudart), nil, facts.VerdictRefused},
		"cudart on the host":            {file([]string{"$ORIGIN"}, cudart), []facts.HostLib{{Soname: "libcudart.so.12", Path: "/usr/lib/libcudart.so.12", Version: "12.4.127"}}, facts.VerdictNative},
		"cudart beside the file":        {file([]string{"$ORIGIN"}, facts.LibraryNeed{Soname: "libcudart.so.12", By: facts.ByBundle, File: "libcudart.so.12"}), nil, facts.VerdictNative},
		"a search path that leads away": {file([]string{"/opt/cuda/lib"}, cudart), nil, facts.VerdictNative},
	} {
		h := hostWith("535.104.05", "7.5")
		h.Libs = c.libs
		got := Judge(ForFiles("x.so", []facts.File{c.file}), h)
		if got.Verdict != c.want {
			t.Errorf("%s: %s %v, want %s", name, got.Verdict, codes(got.Reasons), c.want)
		}
		if refused := c.want == facts.VerdictRefused; refused && find(t, got, facts.MissingLibrary).Need.Library != "libcudart.so.12" {
			t.Errorf("%s: %+v", name, got.Reasons)
		}
	}
}

func TestMachineCodeOfTheSameFileNeedsADriverThatReadsZstd(t *testing.T) {
	c := judgeFile(upstream(), hostWith("535.104.05", "8.6"))
	r := find(t, c, facts.CompressionTooNew)
	if c.Verdict != facts.VerdictRefused || r.CUDAError != 200 || r.Need.CUDA != "12.4" || r.Need.Driver != "550.54.14" || r.Sure != "multi" || r.Units != 139 {
		t.Errorf("%s %+v", c.Verdict, r)
	}
	if c := judgeFile(upstream(), codeAlone(hostWith("550.54.14", "8.6"))); c.Verdict != facts.VerdictNative {
		t.Errorf("550.54.14: %s %v", c.Verdict, codes(c.Reasons))
	}
	if c := judgeFile(upstream(), hostWith("550.40.07", "8.6")); c.Verdict != facts.VerdictRefused {
		t.Errorf("the beta 550.40.07, which reports 12.4 as well: %s", c.Verdict)
	}
}

func TestVerdictsOnHosts(t *testing.T) {
	native := cudaFile("12.4", own(143, "61 75 86"))
	change := func(h facts.Host, fn func(*facts.Host)) facts.Host { fn(&h); return h }
	with := func(driver string, ccs []string, fn func(*facts.Host)) facts.Host {
		return change(hostWith(driver, ccs...), fn)
	}
	for _, c := range []struct {
		name    string
		file    facts.File
		host    facts.Host
		verdict string
		codes   []string
		number  int
	}{
		{"no driver at all is error 35", native, with("", []string{"7.5"}, func(h *facts.Host) { h.Driver = nil; h.Unknown = map[string]string{"driver": "no libcuda.so.1"} }), "refused", []string{facts.NoDriver}, 35},
		{"a kernel module without libcuda is no driver", native, with("", []string{"7.5"}, func(h *facts.Host) {
			h.Driver = &facts.Driver{Kernel: "550.54.15", Source: "proc"}
			h.Unknown = map[string]string{"driver.libcuda": "libcuda.so.1 not found"}
		}), "refused", []string{facts.NoDriver}, 35},
		{"no GPU", native, hostWith("550.54.15"), "refused", []string{facts.NoGPU}, 100},
		{"every GPU hidden", native, with("550.54.15", []string{"7.5"}, func(h *facts.Host) { h.GPUs[0].Visible = false }), "refused", []string{facts.NoGPU}, 100},
		{"GPUs that could not be listed", native, with("550.54.15", nil, func(h *facts.Host) { h.GPUs = nil; h.Unknown = map[string]string{"gpus": "no NVML"} }), "unknown", []string{facts.UnknownFact}, 0},
		{"the toolkit's stub", native, with("", []string{"7.5"}, func(h *facts.Host) {
			h.Driver = &facts.Driver{Kernel: "550.54.15"}
			h.Unknown = map[string]string{"driver.libcuda": "it is a stub for linking"}
		}), "refused", []string{facts.StubLibcuda}, 34},
		{"two halves of two drivers", native, with("550.54.15", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel = "535.104.05" }), "refused", []string{facts.DriverMismatch}, 803},
		{"WSL, whose libcuda has a version of its own", native, with("550.54.15", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel = "551.61"; h.Where = []string{"wsl2"} }), "native", nil, 0},
		{"forward-compat on GeForce", native, with("555.42.06", []string{"8.6"}, func(h *facts.Host) {
			h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "535.104.05", true, "NVIDIA GeForce RTX 3090"
		}), "refused", []string{facts.CompatNotSupported}, 804},
		{"forward-compat on a T4 counts as what it is", cudaFile("12.4", own(1, "p75@8.5")), with("555.42.06", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "535.104.05", true, "Tesla T4" }), "jit", nil, 0},
		{"forward-compat on a GPU without a name", native, with("555.42.06", []string{"8.6"}, func(h *facts.Host) { h.Driver.Kernel, h.Driver.Compat = "535.104.05", true }), "unknown", []string{facts.UnknownFact}, 0},
		{"forward-compat over a branch that its images do not accept", native, with("570.124.06", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "525.85.12", true, "Tesla T4" }), "unknown", []string{facts.UnknownFact}, 0},
		{"forward-compat over one that they do", native, with("570.124.06", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "535.104.05", true, "Tesla T4" }), "native", nil, 0},
		{"forward-compat over a newer kernel module of its own CUDA", native, with("570.124.06", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "570.26", true, "Tesla T4" }), "native", nil, 0},
		{"forward-compat older than the kernel module", native, with("535.129.03", []string{"7.5"}, func(h *facts.Host) { h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "550.54.15", true, "Tesla T4" }), "unknown", []string{facts.UnknownFact}, 0},
		{"libcuda itself answers 803", native, with("550.54.15", []string{"7.5"}, func(h *facts.Host) { h.Driver.InitError = 803 }), "refused", []string{facts.DriverMismatch}, 803},
		{"libcuda itself answers 804", native, with("550.54.15", []string{"8.6"}, func(h *facts.Host) { h.Driver.InitError = 804 }), "refused", []string{facts.CompatNotSupported}, 804},
		{"libcuda itself finds no device", native, with("550.54.15", []string{"8.6"}, func(h *facts.Host) { h.Driver.InitError = 100 }), "refused", []string{facts.NoGPU}, 100},
		{"libcuda answers a number that no code stands for", native, with("550.54.15", []string{"8.6"}, func(h *facts.Host) { h.Driver.InitError = 999 }), "refused", []string{facts.NoDriver}, 999},
		{"the fabric of the GPUs is not up", native, with("550.54.15", []string{"8.6"}, func(h *facts.Host) { h.Driver.InitError = 802 }), "refused", []string{facts.NoDriver}, 802},
		{"MIG on and no instance", native, with("550.54.15", []string{"8.6"}, func(h *facts.Host) { h.GPUs[0].MIG, h.GPUs[0].Visible = true, false }), "refused", []string{facts.NoGPU}, 100},
		{"a MIG instance", native, with("550.54.15", []string{"8.6"}, func(h *facts.Host) { h.GPUs[0].MIG, h.GPUs[0].MIGs = true, []string{"MIG-1"} }), "native", nil, 0},
		{"a GPU that the bus alone names", native, with("550.54.15", []string{""}, func(h *facts.Host) { h.GPUs[0].PCIID = "10de:1eb8" }), "native", []string{facts.UnknownFact}, 0},
		{"a P100 that R590 did not take, by its number", native, with("590.48.01", nil, func(h *facts.Host) { h.GPUs = []facts.GPU{{PCIID: "10de:15f8", Dropped: true}} }), "refused", []string{facts.GPUDropped}, 100},
		{"a T4 that the driver did not take for another reason", native, with("590.48.01", nil, func(h *facts.Host) { h.GPUs = []facts.GPU{{PCIID: "10de:1eb8", Dropped: true}} }), "refused", []string{facts.NoDriver}, 0},
		{"a given driver that can hardly know the GPU", cudaFile("12.8", own(1, "100")), with("570.86.15", []string{"10.7"}, func(h *facts.Host) { h.Driver.Source = SourceGiven }), "unknown", []string{facts.UnknownFact}, 0},
		{"a driver that lists the same GPU does know it", cudaFile("12.8", own(1, "100")), hostWith("570.86.15", "10.7"), "native", nil, 0},
		{"Pascal under Windows' 581 in WSL is still branch 580", cudaFile("12.4", own(1, "61")), with("580.82.07", []string{"6.1"}, func(h *facts.Host) { h.Driver.Kernel, h.Where = "581.57", []string{"wsl2"} }), "native", nil, 0},
		{"P100 under R590", cudaFile("12.4", own(1, "60")), hostWith("590.48.01", "6.0"), "refused", []string{facts.GPUDropped}, 100},
		{"P100 under R580", cudaFile("12.4", own(1, "60")), hostWith("580.82.07", "6.0"), "native", nil, 0},
		{"a dropped GPU beside one that works", native, with("590.48.01", []string{"7.5"}, func(h *facts.Host) {
			h.GPUs = append(h.GPUs, facts.GPU{Index: 1, Name: "Tesla P100-PCIE-16GB", Dropped: true})
		}), "native", nil, 0},
		{"a dropped GPU alone", native, with("590.48.01", nil, func(h *facts.Host) { h.GPUs = []facts.GPU{{Name: "Tesla P100-PCIE-16GB", Dropped: true}} }), "refused", []string{facts.GPUDropped}, 100},
		{"Orin does not run code for 8.6", native, hostWith("550.54.15", "8.7"), "refused", []string{facts.NoKernelImage}, 209},
		{"Orin compiles PTX", cudaFile("12.4", own(1, "86 p80@8.4")), hostWith("550.54.15", "8.7"), "jit", nil, 0},
		{"cudart 12 on a driver of CUDA 11", native, hostWith("470.82.01", "7.5"), "refused", []string{facts.DriverTooOld}, 35},
		{"cudart 12 on an early driver of its own branch", native, hostWith("525.53", "7.5"), "refused", []string{facts.DriverTooOld}, 35},
		{"cudart 11 on an early R450", cudaFile("11.8", own(1, "75")), hostWith("450.51.06", "7.5"), "refused", []string{facts.DriverTooOld}, 35},
		{"relocatable code without inputs is error 500", cudaFile("12.4", facts.Group{Units: 1, Owner: "own", Linked: true, Images: images("86")}), hostWith("550.54.15", "7.5"), "refused", []string{facts.NoKernelImage}, 500},
		{"relocatable code whose PTX is too new is error 222", func() facts.File {
			f := cudaFile("12.8", facts.Group{Units: 1, Owner: "own", Linked: true, Images: images("86")})
			f.Device.Relocatable = []facts.Group{own(1, "p75@8.7")}
			return f
		}(), hostWith("550.54.15", "7.5"), "refused", []string{facts.PTXISATooNew}, 222},
		{"PTX where compiling is forbidden", cudaFile("12.4", own(1, "p75@8.4")), with("550.54.15", []string{"7.5"}, func(h *facts.Host) { h.Env = map[string]string{"CUDA_DISABLE_PTX_JIT": "1"} }), "refused", []string{facts.JITMissing}, 223},
		{"PTX where the compiler is missing", cudaFile("12.4", own(1, "p75@8.4")), with("550.54.15", []string{"7.5"}, func(h *facts.Host) {
			h.Driver.Dir = "/usr/lib/x86_64-linux-gnu"
			h.Libs = []facts.HostLib{{Soname: "libcuda.so.1", Path: "/usr/lib/x86_64-linux-gnu/libcuda.so.1"}}
		}), "refused", []string{facts.JITMissing}, 221},
		{"machine code passed over on purpose", native, with("550.54.15", []string{"7.5"}, func(h *facts.Host) { h.Env = map[string]string{"CUDA_FORCE_PTX_JIT": "1"} }), "unknown", []string{facts.UnknownFact}, 0},
		{"old glibc", func() facts.File { f := cudaFile("12.4", own(1, "75")); f.ELF.Glibc = "2.38"; return f }(), hostWith("550.54.15", "7.5"), "refused", []string{facts.GlibcTooOld}, 0},
		{"old libstdc++", func() facts.File { f := cudaFile("12.4", own(1, "75")); f.ELF.Glibcxx = "3.4.32"; return f }(), hostWith("550.54.15", "7.5"), "refused", []string{facts.LibstdcxxTooOld}, 0},
		{"a GPU without a compute capability, by its name", native, with("550.54.15", []string{""}, func(h *facts.Host) { h.GPUs[0].Name = "Tesla T4" }), "native", []string{facts.UnknownFact}, 0},
		{"a GPU of which nothing is known", native, hostWith("550.54.15", ""), "unknown", []string{facts.UnknownFact}, 0},
		{"no device code", facts.File{Path: "libggml-base.so", ELF: &facts.ELF{Glibc: "2.27"}}, hostWith("550.54.15", "7.5"), "cpu", nil, 0},
		{"zlib on a driver where no decoder was seen", cudaFile("11.8", own(1, "75:zlib")), hostWith("520.61.05", "7.5"), "unknown", []string{facts.UnknownFact}, 0},
		{"zlib on a driver where one was", cudaFile("11.8", own(1, "75:zlib")), hostWith("535.104.05", "7.5"), "native", nil, 0},
		{"PTX beyond the table on the newest driver known", cudaFile("13.5", own(1, "p75@9.9")), hostWith("620.70.06", "7.5"), "refused", []string{facts.PTXISATooNew}, 222},
		{"PTX beyond the table on a driver beyond it", cudaFile("13.5", own(1, "p75@9.9")), hostWith("630.10.01", "7.5"), "unknown", []string{facts.UnknownFact}, 0},
		{"a branch between two known ones", cudaFile("13.2", own(1, "p75@9.2")), hostWith("600.10.01", "7.5"), "jit", nil, 0},
	} {
		c.file.Path = "lib.so"
		if c.file.Device != nil {
			c.file.ELF.Needed = nil
		}
		got := judgeFile(c.file, c.host)
		if got.Verdict != c.verdict {
			t.Errorf("%s: %s %+v, want %s", c.name, got.Verdict, got.Reasons, c.verdict)
			continue
		}
		if c.codes == nil {
			c.codes = []string{}
		}
		if d := cmp.Diff(c.codes, codes(got.Reasons)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
			continue
		}
		if len(got.Reasons) > 0 && got.Reasons[0].CUDAError != c.number {
			t.Errorf("%s: error %d, want %d", c.name, got.Reasons[0].CUDAError, c.number)
		}
		for _, r := range got.Reasons {
			if r.Text == "" || !strings.HasSuffix(r.Text, ".") || r.Sure == "" || r.Fix == "" && r.Code != facts.UnknownFact {
				t.Errorf("%s: a reason without text, certainty or cure: %+v", c.name, r)
			}
		}
	}
}

func TestABundleIsHeldAgainstPlatformProcessorAndLibraries(t *testing.T) {
	base := func() CandidateInput {
		f := cudaFile("12.4", own(1, "75"))
		return CandidateInput{ID: "x", Platform: "linux/amd64", App: bundles.Part{Files: []facts.File{f}, Floors: Floors(f), CPU: "x86-64",
			Needs: []bundles.Need{{Soname: "libcublas.so.12", Min: "12.4"}}}, UseHost: true}
	}
	for name, c := range map[string]struct {
		change  func(*CandidateInput, *facts.Host)
		verdict string
		codes   []string
	}{
		"all is there":                 {func(*CandidateInput, *facts.Host) {}, "native", nil},
		"another platform":             {func(c *CandidateInput, h *facts.Host) { h.Platform = "linux/arm64" }, "refused", []string{facts.Platform}},
		"a processor without AVX2":     {func(c *CandidateInput, h *facts.Host) { c.App.CPU, h.CPU = "x86-64-v3", []string{"sse4_2"} }, "refused", []string{facts.CPUISA}},
		"the library is not there":     {func(c *CandidateInput, h *facts.Host) { h.Libs = nil }, "refused", []string{facts.MissingLibrary}},
		"the library is too old":       {func(c *CandidateInput, h *facts.Host) { h.Libs[0].Version = "12.2.5.6" }, "refused", []string{facts.MissingLibrary}},
		"its version is not known":     {func(c *CandidateInput, h *facts.Host) { h.Libs[0].Version = "" }, "unknown", []string{facts.UnknownFact}},
		"libraries were not looked up": {func(c *CandidateInput, h *facts.Host) { h.Libs, h.Unknown = nil, map[string]string{"libs": NotGiven} }, "native", []string{facts.UnknownFact}},
		"a system library is not CUDA's": {func(c *CandidateInput, h *facts.Host) {
			c.App.Needs = append(c.App.Needs, bundles.Need{Soname: "libgomp.so.1"})
		}, "native", []string{facts.UnknownFact}},
		"a system library that is not there": {func(c *CandidateInput, h *facts.Host) {
			c.App.Needs = append(c.App.Needs, bundles.Need{Soname: "libgomp.so.1"})
			h.Lacks = []string{"libgomp.so.1"}
		}, "refused", []string{facts.MissingLibrary}},
		"a system library that is": {func(c *CandidateInput, h *facts.Host) {
			c.App.Needs = append(c.App.Needs, bundles.Need{Soname: "libgomp.so.1"})
			h.Libs = append(h.Libs, facts.HostLib{Soname: "libgomp.so.1", Path: "/usr/lib/libgomp.so.1"})
		}, "native", nil},
		"the runtime part lacks the GPU": {func(c *CandidateInput, h *facts.Host) {
			c.UseHost = false
			c.Runtime = &bundles.Part{Floors: Floors(cudaFile("12.4", theirs(1, "80"))), Provides: []bundles.Library{{Soname: "libcublas.so.12", Version: "12.4.5.8"}}}
		}, "refused", []string{facts.RuntimeLacksSM}},
		"a floor of a newer builder whose grounds are not known here": {func(c *CandidateInput, h *facts.Host) {
			cuda := "13.0"
			c.App.Floors = []facts.Floor{{CC: "7.5", Via: "sass", MinCUDA: &cuda, Because: []string{"warp-drive-2"}}}
		}, "refused", []string{facts.DriverTooOld}},
	} {
		in, h := base(), colab("550.54.15")
		c.change(&in, &h)
		got := Judge(in, h)
		if c.codes == nil {
			c.codes = []string{}
		}
		if d := cmp.Diff(c.codes, codes(got.Reasons)); got.Verdict != c.verdict || d != "" {
			t.Errorf("%s: %s, want %s (-want +got):\n%s", name, got.Verdict, c.verdict, d)
		}
	}
}

func TestASimulatedHostKnowsWhatWasGiven(t *testing.T) {
	h, err := SimulatedHost(Simulate{Driver: "535.104.05", SMs: []string{"75,8.6"}})
	if err != nil {
		t.Fatal(err)
	}
	if h.Driver.CUDA != "12.2" || h.Driver.Source != SourceGiven || len(h.GPUs) != 2 || h.GPUs[0].CC != "7.5" || h.GPUs[1].CC != "8.6" || h.Unknown["libc"] != NotGiven {
		t.Errorf("%+v", h)
	}
	c := judgeFile(cudaFile("11.8", own(1, "75 86")), h)
	if c.Verdict != facts.VerdictNative || !slices.Contains(codes(c.Reasons), facts.UnknownFact) {
		t.Errorf("open facts are listed and change nothing: %s %v", c.Verdict, codes(c.Reasons))
	}
	for name, o := range map[string]Simulate{"no driver given": {SMs: []string{"75"}}, "no SM given": {Driver: "550.54.15"}, "nothing given": {}} {
		h, err := SimulatedHost(o)
		if err != nil {
			t.Fatal(err)
		}
		if c := judgeFile(cudaFile("11.8", own(1, "75")), h); c.Verdict != facts.VerdictUnknown {
			t.Errorf("%s: %s %v", name, c.Verdict, codes(c.Reasons))
		}
	}
	base := colab("550.54.15")
	base.Sources = map[string]string{"driver.cuda": "nvml", "libc": "/lib/libc.so.6"}
	h, err = SimulatedHost(Simulate{Glibc: "2.17", Driver: "550.54.15", Base: &base})
	if h.Sources["libc"] != SourceGiven || h.Sources["driver"] != SourceGiven || h.Sources["driver.cuda"] != "" || base.Sources["libc"] == SourceGiven {
		t.Errorf("sources %v, of the base %v", h.Sources, base.Sources)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := judgeFile(cudaFile("11.8", own(1, "75")), h); c.Verdict != facts.VerdictRefused || base.Libc != "2.35" {
		t.Errorf("an older glibc under a real host: %s; base %s", c.Verdict, base.Libc)
	}
	h, err = SimulatedHost(Simulate{Driver: "450.80.02", SMs: []string{"90"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := find(t, judgeFile(cudaFile("11.8", own(1, "90")), h), facts.DriverTooOld); r.Need.Driver != "520.56.06" || r.Sure != "doc" {
		t.Errorf("a driver before the GPU's first: %+v", r)
	}
	for _, o := range []Simulate{{Driver: "12.4"}, {Driver: "new"}, {SMs: []string{"T4"}}, {Glibc: "old"}} {
		_, err := SimulatedHost(o)
		coded, ok := err.(interface{ ExitCode() int })
		if !ok || coded.ExitCode() != 2 {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestWhyTellsTheStory(t *testing.T) {
	h := colab("535.104.05")
	choice, candidates := Choose(matrixRelease(), h, ChooseOptions{})
	got, err := json.MarshalIndent(facts.Why{Schema: facts.Schema, Host: h, Choice: choice, Candidates: candidates}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const golden = "testdata/why-t4.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("-want +got (go test -update):\n%s", d)
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/matrix"
)

// turing is a cuBLAS in which two units run on 7.5: one by code for sm_70, as most
// of NVIDIA's, one by its own. sms are those that were kept.
func turing(sms ...string) facts.File {
	digests := map[string]string{"70": "000000000000000000000000000000a1", "75": "000000000000000000000000000000b1", "80": "000000000000000000000000000000c1"}
	group := func(of ...string) facts.Group {
		g := facts.Group{Units: 1, Owner: facts.OwnerNVIDIA}
		for _, sm := range of {
			for _, kept := range sms {
				if sm == kept {
					g.Images = append(g.Images, facts.Image{Kind: facts.KindSASS, SM: sm, Compression: "lz4", Digest: digests[sm]})
				}
			}
		}
		if g.Images == nil {
			return facts.Group{Units: 1, Empty: true}
		}
		return g
	}
	return facts.File{Path: "libcublas.so.11", ELF: &facts.ELF{Soname: "libcublas.so.11", Runpath: []string{"$ORIGIN"}, NVIDIA: &facts.Redistributable{Library: "cublas"}},
		Device: &facts.Device{Units: 2, NVIDIA: &facts.NVIDIA{By: facts.ByDigest, Of: []string{"cublas-11.11.3.6"}}, Groups: []facts.Group{group("70", "80"), group("75", "80")}}}
}

func leanReport(f facts.File) facts.Report {
	return facts.Report{Files: []facts.File{{Path: "LICENSES/NVIDIA-EULA.txt"}, f,
		{Path: "libcudart.so.11.8.89", ELF: &facts.ELF{Soname: "libcudart.so.11.0", NVIDIA: &facts.Redistributable{Library: "cudart", Version: "11.8.89"}}}}}
}

func TestALeanRuntimeMustKeepWhatAPromisedGPUWouldUse(t *testing.T) {
	lean, err := compat.LeanOf("cublas-11.11.3.6", []facts.File{turing("70", "75", "80")}, []compat.CC{{Major: 7, Minor: 5}})
	if err != nil {
		t.Fatal(err)
	}
	good := bundles.Info{Form: matrix.RuntimeLean, Toolkit: "11.8.0", Lean: lean}
	for name, c := range map[string]struct {
		info  bundles.Info
		glibc string
		file  facts.File
		want  string
	}{
		"pruned to 70 and 75": {good, "2.31", turing("70", "75"), ""},
		"pruned to 75 alone":  {good, "2.31", turing("75"), "on compute capability 7.5 NVIDIA's cublas-11.11.3.6 runs code of 2 units, this has code for 1 of them"},
		"pruned to 70 alone":  {good, "2.31", turing("70"), "this has code for 1 of them"},
		"pruned to nothing":   {good, "2.31", turing(), "this has code for 0 of them"},
		"without a record":    {bundles.Info{Form: matrix.RuntimeLean}, "", turing("70", "75"), "nothing says what was kept"},
		"called stock":        {bundles.Info{Form: matrix.RuntimeStock}, "", turing("70", "75"), "there is no cublasLt in it"},
		"another path": {good, "2.31", func() facts.File {
			f := turing("70", "75")
			f.ELF.Runpath = []string{"/usr/local/cuda/lib64"}
			return f
		}(), "its libraries are looked for in /usr/local/cuda/lib64"},
		"a newer glibc":        {good, "2.31", func() facts.File { f := turing("70", "75"); f.ELF.Glibc = "2.34"; return f }(), "it asks for glibc 2.34, the promise is 2.31"},
		"a pruned unit, stock": {bundles.Info{Form: matrix.RuntimeStock}, "", func() facts.File { f := turing("70"); f.Device.Groups[0].Pruned = true; return f }(), "a stock library lacks images"},
	} {
		var said []string
		for _, m := range runtimeMisses(c.info, c.glibc, leanReport(c.file)) {
			said = append(said, m.Text)
		}
		if text := strings.Join(said, "\n"); (c.want == "") != (text == "") || !strings.Contains(text, c.want) {
			t.Errorf("%s: said %q, want %q", name, text, c.want)
		}
	}
	bare := leanReport(turing("70", "75"))
	bare.Files = bare.Files[1:]
	if m := runtimeMisses(good, "", bare); len(m) != 1 || m[0].Code != missRuntimeTerms {
		t.Errorf("without NVIDIA's licence: %+v", m)
	}
}

func TestAPrunedLibraryHasTheVersionOfWhatItWasMadeOf(t *testing.T) {
	got := provides(leanReport(turing("70", "75")))
	if len(got) != 2 || got[0] != (bundles.Library{Soname: "libcublas.so.11", Version: "11.11.3.6"}) || got[1] != (bundles.Library{Soname: "libcudart.so.11.0", Version: "11.8.89"}) {
		t.Errorf("it provides %+v", got)
	}
}

func TestACallThatALeanRuntimeLacksStopsTheBuild(t *testing.T) {
	dir := t.TempDir()
	node := filepath.Join(dir, "node.map")
	blas := filepath.Join(dir, "runtime", "libcublas.so.11")
	if err := os.WriteFile(node, []byte("libcublas.so.11 { global: cublas*; local: *; };"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := compile(blas, "libcublas.so.11", []string{"cublasCreate_v2", "cublasGemmEx", "cublasDrotm_v2"}, nil, "-Wl,--version-script,"+node); err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(dir, "app")
	if err := compile(filepath.Join(app, "libggml-cuda.so"), "libggml-cuda.so", nil, []string{"cublasCreate_v2", "cublasDrotm_v2"}, blas); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "bundle.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	calls, err := definedCalls(filepath.Dir(blas))
	if err != nil || strings.Join(calls, " ") != "cublasCreate_v2 cublasDrotm_v2 cublasGemmEx" {
		t.Fatalf("its calls are %q, %v", calls, err)
	}
	if err := callsAreThere(app, builtRuntime{Calls: calls}); err != nil {
		t.Error(err)
	}
	err = callsAreThere(app, builtRuntime{Calls: []string{"cublasCreate_v2", "cublasGemmEx"}, Part: bundles.Part{Name: "lean.tar.zst"}})
	if err == nil || err.Error() != "it calls cublasDrotm_v2, which the lean runtime lean.tar.zst lacks" {
		t.Errorf("got %v", err)
	}
}

// A runtime part is hundreds of MB, and the next release is to refer to it.
func TestTheNextReleaseMakesTheSameRuntimePart(t *testing.T) {
	m, err := matrix.Load(matrix.DefaultName, matrix.Default())
	if err != nil {
		t.Fatal(err)
	}
	cell, err := m.Cell("cuda11.8-sm75")
	if err != nil {
		t.Fatal(err)
	}
	was := version
	t.Cleanup(func() { version = was })
	says := func(form, release, ccache string) bundles.Info {
		version = release
		j := cellJob{matrix: m, plan: matrix.PlanOptions{Tool: release, Builder: matrix.BuilderDagger, Source: matrix.SourceID{Commit: release}}}
		o := j.plan
		o.Dirs = matrix.ContainerDirs
		plan, err := m.RuntimePlan(cell, form, o)
		if err != nil {
			t.Fatal(err)
		}
		info, err := j.describeRuntime(cell, plan, ci.Result{ImageDigest: "sha256:a1", Tools: map[string]string{"ccache": ccache}}, form)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if d := cmp.Diff(says(matrix.RuntimeLean, "v1", "4.7.5"), says(matrix.RuntimeLean, "v2", "4.7.5")); d != "" {
		t.Errorf("lean, of another release:\n%s", d)
	}
	// Jobs of one release, and releases, install what the distribution has that day.
	if d := cmp.Diff(says(matrix.RuntimeStock, "v1", "4.7.5"), says(matrix.RuntimeStock, "v2", "4.8.0")); d != "" {
		t.Errorf("stock, of another release and with another ccache in the image:\n%s", d)
	}
}

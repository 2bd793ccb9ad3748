package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

// Codes of misses that only a runtime part has.
const (
	missRuntimeFile   = "runtime-file"
	missRuntimePruned = "runtime-pruned"
	missRuntimeGlibc  = "glibc-too-new"
	missRuntimePath   = "runpath"
	missRuntimeTerms  = "no-licence"
)

// runtimeMisses holds the facts of a runtime part against what it says it is.
// maxGlibc "" promises nothing.
func runtimeMisses(info bundles.Info, maxGlibc string, r facts.Report) []verify.Miss {
	var misses []verify.Miss
	miss := func(code, file, fix, format string, args ...any) {
		misses = append(misses, verify.Miss{Code: code, File: file, Text: fmt.Sprintf(format, args...), Fix: fix})
	}
	terms := false
	have := map[string]bool{}
	for _, f := range r.Files {
		terms = terms || strings.HasPrefix(f.Path, "LICENSES/NVIDIA-")
		if f.ELF == nil || f.Link != "" {
			continue
		}
		if f.ELF.NVIDIA != nil {
			have[f.ELF.NVIDIA.Library] = true
		}
		if maxGlibc != "" && inspect.Newer(f.ELF.Glibc, maxGlibc) {
			miss(missRuntimeGlibc, f.Path, "take the libraries of an older image", "it asks for glibc %s, the promise is %s", f.ELF.Glibc, maxGlibc)
		}
		for _, p := range f.ELF.Runpath {
			if p != "$ORIGIN" {
				miss(missRuntimePath, f.Path, "make it anew without that path", "its libraries are looked for in %s", p)
			}
		}
		if info.Form == matrix.RuntimeStock && f.Device != nil && slices.ContainsFunc(f.Device.Groups, func(g facts.Group) bool { return g.Pruned }) {
			miss(missRuntimePruned, f.Path, "ship NVIDIA's file as it is", "a stock library lacks images that NVIDIA's has")
		}
	}
	need := []string{"cudart", "cublas"}
	if info.Form == matrix.RuntimeStock {
		need = append(need, "cublasLt")
	}
	for _, library := range need {
		if !have[library] {
			miss(missRuntimeFile, "", "make it anew", "there is no %s in it", library)
		}
	}
	if !terms {
		miss(missRuntimeTerms, "", "see docs/licensing.md", "NVIDIA's licence is not beside its libraries")
	}
	if info.Form == matrix.RuntimeLean {
		misses = append(misses, leanMisses(info.Lean, r.Files)...)
	}
	return misses
}

// leanMisses holds a record of pruning against the files: what a driver would
// choose of NVIDIA's library must be what it chooses of this one.
func leanMisses(promised *bundles.Lean, files []facts.File) []verify.Miss {
	if promised == nil || len(promised.Selected) == 0 {
		return []verify.Miss{{Code: missRuntimePruned, Text: "nothing says what was kept of NVIDIA's library", Fix: "make it anew"}}
	}
	left := leftOf(promised, files)
	var misses []verify.Miss
	for _, cc := range slices.Sorted(maps.Keys(promised.Selected)) {
		want, got := promised.Selected[cc], left.Selected[cc]
		if want == got {
			continue
		}
		text := fmt.Sprintf("on compute capability %s NVIDIA's %s runs code of %d units, this has code for %d of them: kernels are gone", cc, promised.Of, want.Units, got.Units)
		if want.Units == got.Units {
			text = fmt.Sprintf("on compute capability %s a driver would choose other code than of NVIDIA's %s", cc, promised.Of)
		}
		misses = append(misses, verify.Miss{Code: missRuntimePruned, Text: text,
			Fix: "keep every SM that can serve the GPU: for Turing 70 and 75, never 75 alone"})
	}
	return misses
}

// verifyRuntime is the verdict on one runtime part, unpacked or packed.
func verifyRuntime(m *matrix.Matrix, o verifyOptions, info bundles.Info, r facts.Report) verdict {
	v := verdict{target: o.target, promise: "a " + info.Form + " runtime of CUDA " + info.Toolkit + " promises", cell: info.Cell}
	v.add("", runtimeMisses(info, m.MaxGlibc(info.Toolkit, info.Image.Ref, info.Image.StandIn), r))
	return v
}

// runtime holds a runtime part of a release against its bundle.json, and what the
// manifest says of pruning against it too.
func (v *verdict) runtime(m *matrix.Matrix, part bundles.Part, read partRead) error {
	info, err := readInfo(read.info)
	if err == nil && info.Form != part.Form {
		err = fmt.Errorf("%s says form %q, the manifest %q", bundles.InfoName, info.Form, part.Form)
	}
	if err != nil {
		v.miss(part.Name, "form", missBundle, err.Error(), "build it anew")
		return nil
	}
	list, err := differences(part.Lean, info.Lean)
	if err != nil {
		return err
	}
	for _, d := range list {
		v.miss(part.Name, joinField("lean", d.field), missBundle, fmt.Sprintf("lean is published as %s, %s says %s", d.published, bundles.InfoName, d.read), "build and publish it anew")
	}
	v.add(part.Name, runtimeMisses(info, m.MaxGlibc(info.Toolkit, info.Image.Ref, info.Image.StandIn), read.report))
	return nil
}

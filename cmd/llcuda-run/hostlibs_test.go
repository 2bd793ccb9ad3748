package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/store"
)

func TestTheHostsLibrariesAreReadOnceAndJudged(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile("../../internal/inspect/testdata/mix.so")
	if err != nil {
		t.Fatal(err)
	}
	cublas, lt := filepath.Join(dir, "libcublas.so.12"), filepath.Join(dir, "libcublasLt.so.12")
	for _, file := range []string{cublas, lt} {
		if err := os.WriteFile(file, sample, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := facts.Host{Libc: "2.36", Driver: &facts.Driver{Kernel: "550.54.15", Libcuda: "550.54.15", CUDA: "12.4"}, GPUs: []facts.GPU{{CC: "7.5", Visible: true}},
		Libs: []facts.HostLib{{Soname: "libcublas.so.12", Path: cublas, Version: "12.4.5.8"}, {Soname: "libcublas.so.13", Path: filepath.Join(dir, "libcublas.so.13"), Version: "13.0"}}}
	images := []facts.Image{{Kind: facts.KindSASS, SM: "75", Compression: "none"}, {Kind: facts.KindSASS, SM: "61", Compression: "none"}}
	app := facts.File{Path: "libggml-cuda.so", ELF: &facts.ELF{Needed: []string{"libcublas.so.12"}},
		Device: &facts.Device{Toolkit: "12.4", Units: 1, Groups: []facts.Group{{Units: 1, Owner: facts.OwnerOwn, Images: images}}}}
	files := []facts.File{app}
	m := &bundles.Manifest{Parts: map[string]bundles.Part{"app": {Kind: bundles.PartApp, Files: files, Floors: compat.PartFloors(files), Needs: compat.Needs(files)}},
		Bundles: []bundles.Bundle{{ID: "cell", App: "app", Toolkit: "12.4.1", Runtime: []string{bundles.RuntimeHost}}}}
	read := func(fresh bool) []string {
		return slices.Sorted(maps.Keys(hostFiles(st, m, h, fresh)))
	}
	if got := read(false); len(got) != 0 {
		t.Errorf("read before it was asked for: %v", got)
	}
	both := []string{cublas, lt}
	if diff := cmp.Diff(both, read(true)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(both, read(false)); diff != "" {
		t.Errorf("not kept (-want +got):\n%s", diff)
	}
	// A copy that lacks the GPU is not used, whatever its name says.
	o := compat.ChooseOptions{HostFiles: hostFiles(st, m, h, false)}
	if d := compat.Decide(m, h, o); d.Choice == nil {
		t.Errorf("7.5, which the copy has: %+v", d.Candidates)
	}
	h.GPUs[0].CC = "6.1"
	if d := compat.Decide(m, h, o); d.Choice != nil || d.Candidates[0].Reasons[0].Code != facts.RuntimeLacksSM {
		t.Errorf("6.1, which the copy lacks: %+v %+v", d.Choice, d.Candidates)
	}
	// Another file of the name is read anew, and until then it is not known.
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(lt, later, later); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{cublas}, read(false)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(both, read(true)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := dropModels(modelCache(st)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modelCache(st)); !os.IsNotExist(err) {
		t.Errorf("rm --all leaves the cache: %v", err)
	}
}

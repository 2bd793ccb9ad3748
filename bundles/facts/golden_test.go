package facts_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/golden"
)

func text(s string) *string { return &s }

// The documents below are the contracts' own examples: a change that alters a
// golden file alters what others rely on.
func documents() map[string]any {
	report := facts.Report{Schema: facts.Schema, Files: []facts.File{{
		Path: "libggml-cuda.so", Size: 158993272,
		ELF: &facts.ELF{Needed: []string{"libcudart.so.12"}, Runpath: []string{"$ORIGIN"},
			Soname: "libggml-cuda.so", Glibc: "2.27", Glibcxx: "3.4.30", BuildPaths: []string{}},
		Device: &facts.Device{
			Toolkit: "12.4", Units: 143, Cudart: &facts.Cudart{Link: "shared", Major: 12},
			SASS: []facts.Target{{SM: "86", Units: 143, Compression: "none"}},
			PTX:  []facts.Target{{SM: "75", ISA: "8.4", Units: 143, Compression: "lz4"}},
			Groups: []facts.Group{
				{Units: 139, Owner: facts.OwnerOwn, Images: []facts.Image{
					{Kind: facts.KindSASS, SM: "86", Compression: "none"},
					{Kind: facts.KindPTX, SM: "75", ISA: "8.4", ISAHeader: "8.4", Compression: "lz4"}}},
				{Units: 4, Empty: true}},
			Ignored: &facts.Ignored{Stub: 1, Relocatable: 2},
			Unknown: []facts.Unknown{{What: "entry flag 0x1000000", Units: 3}},
			Floors: []facts.Floor{
				{CC: "8.6-8.x", Except: []string{"8.7"}, Via: facts.ViaSASS, MinCUDA: text("12.0"),
					MinDriver: text("525.60.13"), Because: []string{"cudart-12"}, Sure: "doc"},
				{CC: "5.0-7.x", Via: facts.ViaNone, Lacking: &facts.Lacking{Units: 3, Of: 143},
					Because: []string{"no-kernel-image"}}},
		},
	}}}
	host := facts.Host{
		Platform: "linux/amd64",
		Driver:   &facts.Driver{Kernel: "535.104.05", Libcuda: "535.104.05", CUDA: "12.2", Source: "nvml"},
		GPUs:     []facts.GPU{{Index: 0, Name: "Tesla T4", CC: "7.5", UUID: "GPU-0", Memory: 15843721216, Visible: true}},
		Libc:     "2.35", Glibcxx: "3.4.30", CPU: []string{"avx2"},
		Env:     map[string]string{"CUDA_VISIBLE_DEVICES": "0"},
		Libs:    []facts.HostLib{{Soname: "libcublas.so.12", Path: "/usr/local/cuda/lib64/libcublas.so.12", Version: "12.4.5.8"}},
		Unknown: map[string]string{"where": "not read"},
	}
	reason := facts.Reason{
		Code: facts.PTXISATooNew, CUDAError: 222, Part: "app", File: "libggml-cuda.so", Units: 143, Of: 143,
		Need: &facts.Need{CUDA: "12.8", Driver: "570.26"}, Have: &facts.Need{CUDA: "12.2", Driver: "535.104.05"},
		Sure: "doc", Fix: "upgrade the driver to 570.26 or newer", Text: "needs PTX ISA 8.7, the driver knows 8.2",
	}
	candidates := []facts.Candidate{{
		Bundle: "cuda12.8-default", Verdict: facts.VerdictRefused, Reasons: []facts.Reason{reason},
		GPUs: []facts.GPUVerdict{{Index: 0, UUID: "GPU-0", CC: "7.5", Verdict: facts.VerdictRefused, Reasons: []facts.Reason{reason}}},
	}}
	choice := &facts.Choice{Bundle: "cuda12.4-sm75", Via: facts.ViaSASS, Runtime: "host", Hide: []int{}}
	return map[string]any{
		"inspect": report,
		"why":     facts.Why{Schema: facts.Schema, Host: host, Choice: choice, Candidates: candidates},
		"doctor": facts.Doctor{Schema: facts.Schema, Host: host, Choice: choice, Candidates: candidates,
			Problems: []facts.Problem{{Code: facts.MissingLibrary, Text: "libgomp.so.1 is missing", Cure: "apt install libgomp1"}}},
		"nothing-fits": facts.Why{Schema: facts.Schema, Host: facts.Host{GPUs: []facts.GPU{},
			Unknown: map[string]string{"driver": "libnvidia-ml.so.1 not found"}}, Candidates: candidates},
	}
}

func TestDocumentsKeepTheirPublishedForm(t *testing.T) {
	for name, doc := range documents() {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(doc, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, name+".json", append(got, '\n'))
		})
	}
}

func TestDocumentsSurviveARoundTrip(t *testing.T) {
	for name, doc := range documents() {
		t.Run(name, func(t *testing.T) {
			first, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			var back any
			switch doc.(type) {
			case facts.Report:
				back = new(facts.Report)
			case facts.Why:
				back = new(facts.Why)
			case facts.Doctor:
				back = new(facts.Doctor)
			}
			if err := json.Unmarshal(first, back); err != nil {
				t.Fatal(err)
			}
			second, err := json.Marshal(back)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first, second) {
				t.Errorf("a round trip changed the document:\n%s\n%s", first, second)
			}
		})
	}
}

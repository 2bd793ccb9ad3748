package compat

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/matrix"
)

// build is a libggml-cuda.so whose fate is known on every GPU, driver and glibc.
type build struct {
	id      string
	toolkit string
	glibc   string
	// source says where its targets come from. Only what was read from a file
	// that somebody ships is real; the others are made from a list of targets.
	source string
	real   bool
	file   facts.File
}

// Others' defaults, by the lists that their sources give to CMake. No file of
// these toolkits can be built here, so all of them are synthetic.
var synthetic = [...]struct{ id, toolkit, archs, source string }{
	{"llama.cpp-12.8-default", "12.8", "50-virtual 61-virtual 70-virtual 75-virtual 80-virtual 86-real 89-real 90-virtual 120a-real",
		"synthetic: ggml/src/ggml-cuda/CMakeLists.txt @ 00a2d609 with 12.8, compress-mode size"},
	{"llama.cpp-13.0-default", "13.0", "75-virtual 80-virtual 86-real 89-real 90-virtual 120a-real 121a-real",
		"synthetic: the same with 13.0"},
	{"llama.cpp-13.4-default", "13.4", "75-virtual 80-virtual 86-real 89-real 90-virtual 120a-real 121a-real",
		"synthetic: the same with 13.4"},
	{"ollama-v12", "12.8", "50-virtual 52-virtual 60-virtual 61-virtual 70 75 80 86 89 90 90a 120",
		"synthetic: ollama llama/server/CMakePresets.json @ 0a408b22, llama_cuda_v12_linux; its Dockerfile: CUDA12VERSION=12.8"},
	{"ollama-v13", "13.0", "75-virtual 80-virtual 86-virtual 87-virtual 89-virtual 90-virtual 90a-virtual 100-virtual 103-virtual 110-virtual 120-virtual 121-virtual",
		"synthetic: the same, llama_cuda_v13_linux; its Dockerfile: CUDA13VERSION=13.0"},
}

// archs reads CMAKE_CUDA_ARCHITECTURES as nvcc and llama.cpp do: plain names are
// both, a plain 12X becomes 12Xa.
func archs(t testing.TB, toolkit, list, compression string) []facts.Image {
	isa := toolkitISA(t, toolkit)
	var out []facts.Image
	for _, word := range strings.Fields(list) {
		sm, real := strings.CutSuffix(word, "-real")
		sm, virtual := strings.CutSuffix(sm, "-virtual")
		if len(sm) == 3 && strings.HasPrefix(sm, "12") {
			sm += "a"
		}
		if !virtual {
			out = append(out, facts.Image{Kind: facts.KindSASS, SM: sm, Compression: compression})
		}
		if !real {
			out = append(out, facts.Image{Kind: facts.KindPTX, SM: sm, ISA: isa, Compression: compression})
		}
	}
	return out
}

func toolkitISA(t testing.TB, toolkit string) string {
	for _, r := range table().Facts.Toolkits.Releases {
		if version(r.Version).Compare(version(toolkit).minor()) == 0 {
			return r.PTXISA.ISA
		}
	}
	t.Fatalf("no toolkit %s in the data", toolkit)
	return ""
}

func newBuild(id, toolkit, glibc, source string, images []facts.Image) build {
	f := cudaFile(version(toolkit).minor().String(), facts.Group{Units: 143, Owner: facts.OwnerOwn, Images: images})
	f.ELF.Glibc = glibc
	return build{id: id, toolkit: toolkit, glibc: glibc, source: source, file: f}
}

func readMatrix(t testing.TB) *matrix.Matrix {
	data, err := os.ReadFile("../../matrix/cuda.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := matrix.Load("matrix/cuda.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ourCells are the cells of our matrix with GPU code, as `verify` holds the built
// files to them: no compression, the glibc of their image.
func ourCells(t testing.TB) []build {
	var out []build
	for _, c := range readMatrix(t).AllCells() {
		if c.Toolkit == "" {
			continue
		}
		var images []facts.Image
		for _, sm := range c.SMs {
			images = append(images, facts.Image{Kind: facts.KindSASS, SM: sm, Compression: "none"})
		}
		for _, sm := range c.PTX {
			images = append(images, facts.Image{Kind: facts.KindPTX, SM: sm, ISA: toolkitISA(t, c.Toolkit), Compression: "none"})
		}
		out = append(out, newBuild(c.ID, c.Toolkit, c.Glibc, "cell of matrix/cuda.yaml", images))
	}
	if len(out) < 8 {
		t.Fatalf("only %d cells with a toolkit", len(out))
	}
	return out
}

// shipped are files that others ship, as inspect read them.
func shipped(t testing.TB) []build {
	var out []build
	for _, name := range []string{"npm-node-llama-cpp-cuda", "npm-node-llama-cpp-cuda-ext"} {
		data, err := os.ReadFile("testdata/builds/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Source string
			File   facts.File
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		out = append(out, build{name, doc.File.Device.Toolkit, doc.File.ELF.Glibc, "real: " + doc.Source, true, doc.File})
	}
	return out
}

// builds are all of them. What the synthetic ones ask of glibc is not known, so
// they ask for nothing.
func builds(t testing.TB) []build {
	out := ourCells(t)
	for _, s := range synthetic {
		out = append(out, newBuild(s.id, s.toolkit, "", s.source, archs(t, s.toolkit, s.archs, "zstd")))
	}
	return append(out, shipped(t)...)
}

func buildOf(t testing.TB, id string) build {
	all := builds(t)
	i := slices.IndexFunc(all, func(b build) bool { return b.id == id })
	if i < 0 {
		t.Fatalf("no build %s", id)
	}
	return all[i]
}

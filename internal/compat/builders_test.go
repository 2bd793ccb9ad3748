package compat

import (
	"flag"
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

var update = flag.Bool("update", false, "rewrite golden files")

// images reads a shorthand: "86" is machine code, "86:zstd" compressed so,
// "p75@8.7" PTX of an ISA.
func images(list string) []facts.Image {
	var out []facts.Image
	for _, s := range strings.Fields(list) {
		i := facts.Image{Kind: facts.KindSASS, Compression: "none"}
		s, squeezed, ok := strings.Cut(s, ":")
		if ok {
			i.Compression = squeezed
		}
		if sm, isa, ok := strings.Cut(s, "@"); ok {
			i.Kind, i.SM, i.ISA = facts.KindPTX, strings.TrimPrefix(sm, "p"), isa
		} else {
			i.SM = s
		}
		out = append(out, i)
	}
	return out
}

func own(units int, list string) facts.Group {
	return facts.Group{Units: units, Owner: facts.OwnerOwn, Images: images(list)}
}

func theirs(units int, list string) facts.Group {
	return facts.Group{Units: units, Owner: facts.OwnerNVIDIA, Images: images(list)}
}

func empty(units int) facts.Group { return facts.Group{Units: units, Empty: true} }

// cudaFile is a libggml-cuda.so of a toolkit with these units.
func cudaFile(toolkit string, groups ...facts.Group) facts.File {
	d := &facts.Device{Toolkit: toolkit, Groups: groups, Cudart: &facts.Cudart{Link: "shared", Major: version(toolkit).Major()}}
	for _, g := range groups {
		d.Units += g.Units
	}
	return facts.File{Path: "libggml-cuda.so", ELF: &facts.ELF{Needed: []string{fmt.Sprintf("libcudart.so.%d", version(toolkit).Major())}, Glibc: "2.27"}, Device: d}
}

// upstream is llama.cpp's default build with CUDA 12.8: machine code for 86, 89
// and 120a only, all of it zstd.
func upstream() facts.File {
	return cudaFile("12.8", own(139, "p50@8.7:zstd p61@8.7:zstd p70@8.7:zstd p75@8.7:zstd p80@8.7:zstd 86:zstd 89:zstd p90@8.7:zstd 120a:zstd"), empty(4))
}

func digest(s string) string { return fmt.Sprintf("sha256:%064x", []byte(s)) }

// release builds a manifest.
type release struct{ m *bundles.Manifest }

func newRelease() *release {
	return &release{&bundles.Manifest{Schema: 1, Release: "v1", Sequence: 1, Parts: map[string]bundles.Part{}}}
}

// cell adds a bundle with one app file; runtimes are ids of parts added before, or "host".
func (r *release) cell(id, toolkit string, size int64, f facts.File, runtimes ...string) *release {
	p := bundles.Part{Kind: bundles.PartApp, Name: id + ".tar.zst", Size: size, Glibc: "2.27", CPU: "x86-64", Files: []facts.File{f}, Floors: PartFloors([]facts.File{f})}
	b := bundles.Bundle{ID: id, Cell: id, Platform: "linux/amd64", Toolkit: toolkit, App: digest(id)}
	for _, n := range runtimes {
		if n != bundles.RuntimeHost {
			n = digest(n)
		}
		b.Runtime = append(b.Runtime, n)
	}
	if len(runtimes) > 0 {
		p.Needs = []bundles.Need{{Soname: fmt.Sprintf("libcublas.so.%d", version(toolkit).Major()), Min: version(toolkit).minor().String()}}
	}
	r.m.Parts[b.App] = p
	r.m.Bundles = append(r.m.Bundles, b)
	return r
}

// faster marks a bundle as faster on an SM.
func (r *release) faster(id, sm string) *release {
	for i, b := range r.m.Bundles {
		if b.ID == id {
			r.m.Bundles[i].Faster = append(b.Faster, sm)
		}
	}
	return r
}

// runtime adds a stock runtime part.
func (r *release) runtime(id, toolkit string, size int64, groups ...facts.Group) *release {
	f := cudaFile(toolkit, groups...)
	major := version(toolkit).Major()
	f.Path = fmt.Sprintf("libcublas.so.%d", major)
	r.m.Parts[digest(id)] = bundles.Part{Kind: bundles.PartRuntime, Form: "stock", Name: id + ".tar.zst", Size: size, Files: []facts.File{f}, Floors: PartFloors([]facts.File{f}),
		Provides: []bundles.Library{{Soname: f.Path, Version: toolkit + ".5"}}}
	return r
}

const mb = 1 << 20

// matrixRelease is the matrix of design.md, and upstream's build beside it.
func matrixRelease() *bundles.Manifest {
	gguf := func(toolkit, list string) facts.File { return cudaFile(toolkit, own(143, list), empty(4)) }
	r := newRelease()
	r.runtime("cublas-12.4", "12.4", 400*mb, theirs(200, "70"), theirs(10, "75"), theirs(60, "80"), theirs(40, "86 89"), theirs(80, "90 90a"), theirs(3, "50 60 61"))
	r.runtime("cublas-12.8", "12.8", 600*mb, theirs(200, "70"), theirs(10, "75"), theirs(60, "80"), theirs(80, "90 90a"), theirs(80, "100 120 p90@8.7"), theirs(3, "50 60 61"))
	r.runtime("cublas-11.8", "11.8", 500*mb, theirs(200, "70"), theirs(10, "75"), theirs(60, "80"), theirs(80, "90"), theirs(3, "50 60 61"))
	r.cell("cuda11.8-all", "11.8.0", 120*mb, gguf("11.8", "50 60 61 70 75 80 86 89"), "host", "cublas-11.8")
	r.cell("cuda12.8-all", "12.8.1", 200*mb, gguf("12.8", "50 60 61 70 75 80 86 89 90 100 120a p90@8.7:lz4"), "host", "cublas-12.8")
	r.cell("cuda11.8-sm75", "11.8.0", 20*mb, gguf("11.8", "75"), "host", "cublas-11.8")
	r.cell("cuda12.4-sm75", "12.4.1", 21*mb, gguf("12.4", "75"), "host", "cublas-12.4")
	r.cell("cuda11.8-legacy", "11.8.0", 60*mb, gguf("11.8", "50 60 61 70"), "host", "cublas-11.8")
	r.cell("cuda12.4-ampere-ada", "12.4.1", 60*mb, gguf("12.4", "80 86 89"), "host", "cublas-12.4")
	r.cell("cuda12.4-sm90", "12.4.1", 25*mb, gguf("12.4", "90"), "host", "cublas-12.4")
	r.cell("cuda12.8-blackwell", "12.8.1", 50*mb, gguf("12.8", "100 120a p90@8.7:lz4"), "host", "cublas-12.8")
	r.cell("cuda12.8-default", "12.8.1", 100*mb, upstream(), "host", "cublas-12.8")
	return r.m
}

// hostWith is a machine whose driver reports what its branch does.
func hostWith(driver string, ccs ...string) facts.Host {
	cuda, _ := table().CUDAOf(driver)
	h := facts.Host{Platform: "linux/amd64", Driver: &facts.Driver{Kernel: driver, Libcuda: driver, CUDA: cuda, Source: "nvml"}, GPUs: []facts.GPU{},
		Libc: "2.35", Glibcxx: "3.4.30", CPU: []string{"avx2"}}
	for i, cc := range ccs {
		h.GPUs = append(h.GPUs, facts.GPU{Index: i, CC: cc, UUID: fmt.Sprintf("GPU-%d", i), Visible: true})
	}
	return h
}

// colab is a T4 with its own CUDA 12 libraries.
func colab(driver string) facts.Host {
	h := hostWith(driver, "7.5")
	h.GPUs[0].Name = "Tesla T4"
	h.Libs = []facts.HostLib{{Soname: "libcublas.so.12", Path: "/usr/local/cuda/lib64/libcublas.so.12", Version: "12.5.3.2"}}
	return h
}

func codes(reasons []facts.Reason) []string {
	out := []string{}
	for _, r := range reasons {
		out = append(out, r.Code)
	}
	return out
}

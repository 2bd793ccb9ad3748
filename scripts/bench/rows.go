package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// row is one line of the table. To add one write its measure.
type row struct {
	what    string
	measure func(ctx context.Context, b bench) (ours, rival samples, rivalName string, err error)
	// big rows take minutes and run only with -big.
	big bool
	// lean rows need a lean runtime in DIST, and run only where there is one.
	lean bool
}

// Files of docs/corpus.md.
const (
	lib374 = "npm/node-llama-cpp-linux-x64-cuda-ext-3.22.1/package/bins/linux-x64-cuda/fallback/libggml-cuda.so"
	lib159 = "npm/node-llama-cpp-linux-x64-cuda-3.22.1/package/bins/linux-x64-cuda/libggml-cuda.so"
)

// folder is what a part is made of, and how it is packed.
type folder struct {
	name  string
	level int // 0 = as a release is
	// dir makes it, its files under names that begin with prefix where they can.
	dir func(b bench, prefix string) (string, error)
}

// filesOf is a folder of files of the corpus. At level 3 they are not waited for.
func filesOf(name string, files ...string) folder {
	return folder{name, 3, func(b bench, prefix string) (string, error) { return b.linked(prefix, files...) }}
}

// What the parts of a bundle are made of.
var (
	whole    = filesOf("both", lib374, lib159)
	larger   = filesOf("larger", lib374)
	smaller  = filesOf("smaller", lib159)
	released = folder{name: "cell", dir: func(b bench, _ string) (string, error) { return b.cell() }}
	lean     = folder{name: "lean", dir: bench.leanRuntime}
)

// rivalRuns is how often a rival that takes seconds runs.
const rivalRuns = 5

var rows = []row{
	{what: "inspect, 374 MB library", measure: inspectFile(lib374)},
	{what: "inspect, 159 MB library", measure: inspectFile(lib159)},
	{what: "inspect, 1.6 GB folder with cuBLAS", measure: inspectFolder},
	{what: "verify, packed part of 533 MB", measure: verifyPart},
	{what: "pack, 20 MB of CPU backends", measure: packBackends},
	{what: "pack, the part of a cell", measure: packCell},
	{what: "pack, 374 MB library", measure: packLibrary, big: true},
	{what: "unpack, the part of a cell", measure: unpackCell},
	{what: "unpack, 374 MB library", measure: unpackLibrary},
	{what: "build, from nothing", measure: buildCold},
	{what: "build --draft, one file changed", measure: buildDraft},
	{what: "build, one file changed", measure: buildChanged},
	{what: "build, nothing changed", measure: buildUnchanged},
	{what: "install, 533 MB, no limit", measure: installFrom(0, 0, whole)},
	{what: "install, 533 MB, a line of 20 MB/s", measure: installFrom(20e6, 0, whole)},
	{what: "install, 533 MB, 8 MB/s a connection", measure: installFrom(0, 8e6, whole)},
	{what: "install, two parts of 374 and 159 MB, no limit", measure: installFrom(0, 0, larger, smaller)},
	{what: "install, two parts of 374 and 159 MB, a line of 125 MB/s", measure: installFrom(125e6, 0, larger, smaller)},
	{what: "install, the part of a cell, no limit", measure: installFrom(0, 0, released)},
	{what: "install, the part of a cell, a line of 125 MB/s", measure: installFrom(125e6, 0, released)},
	{what: "install, the part of a cell and its lean runtime, a line of 125 MB/s", measure: installFrom(125e6, 0, released, lean), lean: true},
	{what: "download, a model of 1 GB, a line of 125 MB/s", measure: downloadModel(125e6)},
	{what: "serve to the first answer, on the CPU", measure: serveModel},
}

// lists are the two questions that tell what a library holds.
func lists(tool string, files ...string) []command {
	var all []command
	for _, f := range files {
		all = append(all, command{argv: []string{tool, "--list-elf", f}}, command{argv: []string{tool, "--list-ptx", f}})
	}
	return all
}

func (b bench) cuobjdump() string { return filepath.Join(b.corpus, "cuda-12.4/bin/cuobjdump") }

func inspectFile(name string) func(context.Context, bench) (samples, samples, string, error) {
	return func(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
		file := filepath.Join(b.corpus, name)
		if ours, err = times(ctx, b.runs, nil, command{argv: []string{b.bin, "inspect", file}}); err != nil {
			return nil, nil, "", err
		}
		rival, err = times(ctx, rivalRuns, nil, lists(b.cuobjdump(), file)...)
		return ours, rival, "cuobjdump --list-elf, --list-ptx", err
	}
}

// linked is a folder with hard links to files of the corpus, under names that no other
// folder has: two parts of a bundle may not share one.
func (b bench) linked(name string, files ...string) (string, error) {
	dir := filepath.Join(b.work, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for i, f := range files {
		if err := os.Link(filepath.Join(b.corpus, f), filepath.Join(dir, fmt.Sprintf("%s-%d-%s", name, i, filepath.Base(f)))); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func inspectFolder(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	files := []string{lib374, lib159, "debian/usr/lib/x86_64-linux-gnu/ggml/backends0/libggml-cuda.so",
		"cuda-12.4/lib64/libcublas.so.12.4.5.8", "cuda-12.4/lib64/libcublasLt.so.12.4.5.8", "cuda-12.4/lib64/libcudart.so.12.4.127"}
	dir, err := b.linked("folder", files...)
	if err != nil {
		return nil, nil, "", err
	}
	if ours, err = times(ctx, b.runs, nil, command{argv: []string{b.bin, "inspect", dir}}); err != nil {
		return nil, nil, "", err
	}
	var theirs []command
	for _, f := range files[:len(files)-1] { // libcudart holds no device code
		theirs = append(theirs, lists(b.cuobjdump(), filepath.Join(b.corpus, f))...)
	}
	rival, err = times(ctx, 1, nil, theirs...)
	return ours, rival, "cuobjdump, five libraries", err
}

// pack runs this program again, to be measured as a process.
func (b bench) pack(level int, dir, out string) (command, error) {
	self, err := os.Executable()
	return command{argv: []string{self, "-level", fmt.Sprint(level), "pack", dir, out}}, err
}

func verifyPart(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	dir, err := b.linked("part", lib374, lib159)
	if err != nil {
		return nil, nil, "", err
	}
	part := filepath.Join(b.work, "part.tar.zst")
	making, err := b.pack(3, dir, part)
	if err != nil {
		return nil, nil, "", err
	}
	if _, err := once(ctx, making); err != nil {
		return nil, nil, "", err
	}
	// Other people's libraries keep no cell's promise: exit status 1 is the answer.
	check := command{argv: []string{b.bin, "--matrix", b.matrix, "verify", "--cuobjdump", "off", "--cell", "cuda12.8-all", part}, ok: []int{1}}
	if ours, err = times(ctx, rivalRuns, nil, check); err != nil {
		return nil, nil, "", err
	}
	out := filepath.Join(b.work, "out")
	empty := func() error {
		if err := os.RemoveAll(out); err != nil {
			return err
		}
		return os.Mkdir(out, 0o755)
	}
	if err := empty(); err != nil {
		return nil, nil, "", err
	}
	theirs := append([]command{{argv: []string{"tar", "-I", "zstd -d --long=27", "-xf", part, "-C", out}}},
		lists(b.cuobjdump(), filepath.Join(out, "part-0-libggml-cuda.so"), filepath.Join(out, "part-1-libggml-cuda.so"))...)
	rival, err = times(ctx, rivalRuns, empty, theirs...)
	return ours, rival, "tar -x, cuobjdump", err
}

package verify

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/matrix"
)

// Compression that a cell may promise.
const (
	// CompressionNone: machine code is stored. PTX may be an LZ4 block, as
	// fatbinary makes it by default up to CUDA 12.6: that adds no floor.
	CompressionNone = "none"
	// CompressionLZ4: machine code may be an LZ4 block too.
	CompressionLZ4 = "lz4"
)

// Options is what the matrix promises beyond the cell.
type Options struct {
	// MaxGlibc is the newest glibc that a file may require ("2.28"); empty
	// checks nothing.
	MaxGlibc string
	// MaxGlibcxx is the newest GLIBCXX version that a file may require.
	MaxGlibcxx string
	// Compression is CompressionNone, also where empty, or CompressionLZ4.
	Compression string
	// MinDriver is the oldest driver promised: where it is given, an image may be
	// stored in any way that this driver reads, and Compression counts for nothing.
	MinDriver string
}

// Cell lists what the files of r lack of what the plan's cell promises, ordered
// by file; none means the promise is kept.
func Cell(p matrix.Plan, r facts.Report, o Options) []Miss {
	c := &check{cell: p.Cell, report: r, options: o, around: facts.FolderOf(r.Files)}
	for _, want := range p.Expect {
		if !slices.ContainsFunc(r.Files, func(f facts.File) bool { return fits(f.Path, want) }) {
			c.miss(FileMissing, want, "", "the file is not there", "see the build's log, or take it out of the plan's files")
		}
	}
	device := false
	for _, f := range r.Files {
		if f.Link != "" {
			c.link(f)
		}
		if f.ELF != nil {
			c.elf(f)
		}
		if f.Device != nil {
			c.device(f)
			device = device || f.Device.Units > 0 && !inspect.IsNVIDIA(soname(f))
		}
	}
	if len(p.Cell.SMs)+len(p.Cell.PTX) > 0 && !device {
		c.miss(DeviceMissing, "", "", fmt.Sprintf("no file holds device code of its own, but the cell promises %s", promised(p.Cell)),
			"build with GGML_CUDA=ON and look whether the CUDA backend was installed")
	}
	return order(c.misses)
}

// fits says whether path is what a plan expects: the same, or below it where
// it ends in a slash, or matching its pattern.
func fits(file, want string) bool {
	if strings.HasSuffix(want, "/") {
		return strings.HasPrefix(file, want)
	}
	ok, err := path.Match(want, file)
	return file == want || err == nil && ok
}

type check struct {
	cell    matrix.Cell
	report  facts.Report
	options Options
	around  facts.Folder
	misses  []Miss
}

func (c *check) miss(code, file, sm, text, fix string) {
	c.misses = append(c.misses, Miss{Code: code, File: file, SM: sm, Text: text, Fix: fix})
}

// promised names what the cell promises.
func promised(c matrix.Cell) string {
	var words []string
	for _, sm := range c.SMs {
		words = append(words, "sm_"+sm+" SASS")
	}
	for _, sm := range c.PTX {
		words = append(words, "compute_"+sm+" PTX")
	}
	return strings.Join(words, ", ")
}

func soname(f facts.File) string {
	if f.ELF != nil && f.ELF.Soname != "" {
		return f.ELF.Soname
	}
	return path.Base(f.Path)
}

// link holds that a symbolic link stays in the bundle.
func (c *check) link(f facts.File) {
	to := path.Join(path.Dir(f.Path), f.Link)
	if path.IsAbs(f.Link) || !slices.ContainsFunc(c.report.Files, func(g facts.File) bool { return g.Path == to }) {
		c.miss(LinkOutside, f.Path, "", "it is a link to "+f.Link+", which is not in the bundle", "copy the file itself")
	}
}

package coverage

import (
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/matrix"
)

// compressionMode is llama.cpp's option for how nvcc stores images. The modes
// are nvcc's; what each makes is measured (none, speed) or NVIDIA's word (size).
const compressionMode = "-DGGML_CUDA_COMPRESSION_MODE="

var stored = map[string]string{"none": "none", "speed": "lz4", "size": "zstd"}

// Planned is the manifest that cells would make if their files held exactly what
// was asked: one unit with the cell's machine code and PTX, built on the
// toolkit's own cudart. It says nothing of libraries and cannot be served.
func Planned(plans []matrix.Plan) (*bundles.Manifest, error) {
	t, err := compat.Load()
	if err != nil {
		return nil, err
	}
	m := &bundles.Manifest{Schema: facts.Schema, Parts: map[string]bundles.Part{}}
	for _, p := range plans {
		c := p.Cell
		f := facts.File{Path: "libggml-cuda.so", ELF: &facts.ELF{Glibc: c.Glibc}}
		if c.Toolkit != "" {
			if f.Device, err = device(t, p); err != nil {
				return nil, fmt.Errorf("planning %s: %w", c.ID, err)
			}
		} else {
			f.Path = "llama-server"
		}
		key := "plan:" + c.ID
		// The fewest bytes are preferred, and a plan knows none: the number of
		// targets orders cells as their bytes will.
		m.Parts[key] = bundles.Part{Kind: bundles.PartApp, Name: c.ID, Size: int64(len(c.SMs) + len(c.PTX)), Glibc: c.Glibc,
			Files: []facts.File{f}, Floors: compat.PartFloors([]facts.File{f})}
		m.Bundles = append(m.Bundles, bundles.Bundle{ID: c.ID, Cell: c.ID, Platform: c.Platform, Toolkit: c.Toolkit,
			Source: bundles.Source{Fixture: p.Fixture}, App: key})
	}
	return m, nil
}

func device(t *compat.Table, p matrix.Plan) (*facts.Device, error) {
	var major, minor int
	if _, err := fmt.Sscanf(p.Cell.Toolkit, "%d.%d", &major, &minor); err != nil {
		return nil, fmt.Errorf("toolkit %q is not a version", p.Cell.Toolkit)
	}
	release := fmt.Sprintf("%d.%d", major, minor)
	compression := "none"
	for _, arg := range p.CMake {
		if mode, ok := strings.CutPrefix(arg, compressionMode); ok {
			if compression, ok = stored[mode]; !ok {
				return nil, fmt.Errorf("%s: what compression mode %q makes is not known", arg, mode)
			}
		}
	}
	isa := ""
	for _, r := range t.Facts.Toolkits.Releases {
		if r.Version == release {
			isa = r.PTXISA.ISA
		}
	}
	if isa == "" && len(p.Cell.PTX) > 0 {
		return nil, fmt.Errorf("the PTX ISA of toolkit %s is not recorded", release)
	}
	g := facts.Group{Units: 1, Owner: facts.OwnerOwn}
	for _, sm := range p.Cell.SMs {
		g.Images = append(g.Images, facts.Image{Kind: facts.KindSASS, SM: sm, Compression: compression})
	}
	for _, sm := range p.Cell.PTX {
		g.Images = append(g.Images, facts.Image{Kind: facts.KindPTX, SM: sm, ISA: isa, Compression: compression})
	}
	return &facts.Device{Toolkit: release, Units: 1, Cudart: &facts.Cudart{Link: "shared", Major: major}, Groups: []facts.Group{g}}, nil
}

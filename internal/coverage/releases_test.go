package coverage_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/coverage"
	"github.com/waqasm86/llcuda/matrix"
)

var loadOurs = sync.OnceValues(func() (*matrix.Matrix, error) { return matrix.Load(matrix.DefaultName, matrix.Default()) })

// ours is this project's matrix and what its default cells would make.
func ours(t testing.TB) (*matrix.Matrix, *bundles.Manifest) {
	t.Helper()
	m, err := loadOurs()
	if err != nil {
		t.Fatal(err)
	}
	var plans []matrix.Plan
	for _, c := range m.Cells() {
		p, err := m.Plan(c, matrix.PlanOptions{Dirs: matrix.ContainerDirs, Source: m.Source()})
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	planned, err := coverage.Planned(plans)
	if err != nil {
		t.Fatal(err)
	}
	return m, planned
}

// planned is the grid of our matrix.
func planned(t *testing.T) coverage.Grid {
	t.Helper()
	m, plan := ours(t)
	return compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindPlan, Source: matrix.DefaultName}, Manifest: plan, Plan: plan, Promise: m.Promise()})
}

// released is the grid of a release, held against our matrix.
func released(t *testing.T, m *bundles.Manifest) coverage.Grid {
	t.Helper()
	x, plan := ours(t)
	return compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindRelease, Source: "github:owner/repo", Release: "v1", Sequence: 7, Tool: "llcuda-build v1"},
		Manifest: m, Plan: plan, Promise: x.Promise()})
}

func compute(t *testing.T, in coverage.Input) coverage.Grid {
	t.Helper()
	in.Platform = "linux/amd64"
	g, err := coverage.Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// cell adds a bundle to a synthetic release. images are "75" (machine code),
// "86:zstd", "p75@8.7" (PTX of an ISA).
func cell(m *bundles.Manifest, id, toolkit, glibc, images string) {
	major, _, _ := strings.Cut(toolkit, ".")
	f := facts.File{Path: "libggml-cuda.so", ELF: &facts.ELF{Glibc: glibc}, Device: &facts.Device{Toolkit: toolkit, Units: 143, Cudart: &facts.Cudart{Link: "shared"}}}
	if _, err := fmt.Sscan(major, &f.Device.Cudart.Major); err != nil {
		panic(err)
	}
	g := facts.Group{Units: 143, Owner: facts.OwnerOwn}
	for s := range strings.FieldsSeq(images) {
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
		g.Images = append(g.Images, i)
	}
	f.Device.Groups = []facts.Group{g}
	if m.Parts == nil {
		m.Parts = map[string]bundles.Part{}
	}
	key := fmt.Sprintf("sha256:%064x", []byte(id))
	m.Parts[key] = bundles.Part{Kind: bundles.PartApp, Name: id + ".tar.zst", Size: int64(1+strings.Count(images, " ")) << 20, Glibc: glibc,
		Files: []facts.File{f}, Floors: compat.PartFloors([]facts.File{f}), Needs: []bundles.Need{{Soname: "libcublas.so." + major}}}
	m.Bundles = append(m.Bundles, bundles.Bundle{ID: id, Cell: id, Platform: "linux/amd64", Toolkit: toolkit, App: key, Runtime: []string{bundles.RuntimeHost}})
}

// upstream is llama.cpp's default CUDA 12.8 build. Synthetic: nothing here can
// compile with 12.8. The list is its CMakeLists', the compression its default.
func upstream() *bundles.Manifest {
	m := &bundles.Manifest{}
	cell(m, "cuda12.8-default", "12.8", "2.28", "p50@8.7:zstd p61@8.7:zstd p70@8.7:zstd p75@8.7:zstd p80@8.7:zstd 86:zstd 89:zstd p90@8.7:zstd 120a:zstd")
	return m
}

// without is a release of our planned bundles less some.
func without(t *testing.T, ids ...string) *bundles.Manifest {
	t.Helper()
	_, plan := ours(t)
	m := *plan
	m.Bundles = slices.DeleteFunc(slices.Clone(plan.Bundles), func(b bundles.Bundle) bool { return slices.Contains(ids, b.ID) })
	if len(m.Bundles)+len(ids) != len(plan.Bundles) {
		t.Fatalf("the matrix has not all of %v", ids)
	}
	return &m
}

// row finds a GPU by compute capability.
func row(t *testing.T, g coverage.Grid, cc string) coverage.GPU {
	t.Helper()
	i := slices.IndexFunc(g.GPUs, func(r coverage.GPU) bool { return r.CC == cc })
	if i < 0 {
		t.Fatalf("the grid has no row %s", cc)
	}
	return g.GPUs[i]
}

// spans finds a pair.
func spans(t *testing.T, g coverage.Grid, cc, branch string) []coverage.Span {
	t.Helper()
	for _, c := range row(t, g, cc).Cells {
		if c.Branch == branch {
			return c.Spans
		}
	}
	t.Fatalf("the grid has no branch %s", branch)
	return nil
}

package coverage

import (
	"slices"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/matrix"
)

// Schema is the major version of Grid's JSON.
const Schema = 1

// What a grid may be of.
const (
	KindPlan    = "plan"    // the cells of a matrix; nothing was read from files
	KindDist    = "dist"    // what build left, unsigned
	KindRelease = "release" // a manifest whose signature was checked
)

// States of a span, best first.
const (
	Native  = "native"         // machine code
	JIT     = "jit"            // PTX that the driver compiles: a slow first start
	Unknown = "unknown"        // it hinges on a fact that is not known
	None    = "none"           // no bundle runs
	NA      = "not-applicable" // this GPU and this driver never went together
)

// Subject is what a grid is of.
type Subject struct {
	Kind string `json:"kind"`
	// Source is where it came from: a release source, a folder, the matrix's name.
	Source   string `json:"source"`
	Release  string `json:"release,omitempty"`
	Sequence int64  `json:"sequence,omitempty"`
	// Tool is the program that wrote the manifest.
	Tool string `json:"tool,omitempty"`
}

// Input is what a grid is computed from.
type Input struct {
	Subject  Subject
	Manifest *bundles.Manifest
	// Plan is what the matrix's cells would make, see Planned: it tells what
	// would close a hole. It may be nil.
	Plan    *bundles.Manifest
	Promise []matrix.Promise
	// Platform is that of the hosts, "linux/amd64".
	Platform string
	// Glibc is that of the hosts. Empty: for each GPU the promise's, and for a
	// GPU without one the newest that is promised to any.
	Glibc string
}

// Grid is the document of `coverage --json`, schema 1.
type Grid struct {
	Schema int     `json:"schema"`
	Of     Subject `json:"of"`
	// Platform and the sentences of Assumes hold for every span.
	Platform string   `json:"platform"`
	Assumes  []string `json:"assumes"`
	Branches []Branch `json:"branches"`
	GPUs     []GPU    `json:"gpus"`
	// LeftOut are GPUs that the grid does not judge.
	LeftOut []LeftOut `json:"left_out"`
	Bundles []Bundle  `json:"bundles"`
	Totals  Totals    `json:"totals"`
	Holes   []Hole    `json:"holes"`
}

// Branch is a column: a driver branch.
type Branch struct {
	Branch string `json:"branch"`
	// CUDA is the version that its libcuda reports.
	CUDA string `json:"cuda"`
	// First is the oldest driver that NVIDIA pairs with that CUDA; "" where no
	// source does.
	First string `json:"first,omitempty"`
	// Sure is how certain CUDA is.
	Sure string `json:"sure"`
}

// GPU is a row: the GPUs of one compute capability.
type GPU struct {
	CC string `json:"cc"`
	// Title is the few names a user would look for; Names are all of them.
	Title string   `json:"title"`
	Arch  string   `json:"arch"`
	Names []string `json:"names"`
	// Promise is nil where the matrix promises nothing.
	Promise *matrix.Promise `json:"promise"`
	// Glibc is what the row was judged at.
	Glibc string `json:"glibc"`
	Cells []Cell `json:"cells"`
}

// Cell is one GPU on one branch: spans from the oldest driver to the newest.
type Cell struct {
	Branch string `json:"branch"`
	Spans  []Span `json:"spans"`
}

// Span is a range of drivers of one branch that fare alike.
type Span struct {
	// From is its oldest driver: the branch's bare number where it begins with
	// whatever is the branch's oldest. It ends where the next span begins.
	From  string `json:"from"`
	State string `json:"state"`
	// Bundle is the one that llcuda-run would choose, Also others that are native.
	Bundle string   `json:"bundle,omitempty"`
	Also   []string `json:"also,omitempty"`
	// Glibc is what Bundle asks for.
	Glibc string `json:"glibc,omitempty"`
	// Promised: the matrix says native here. Hole: and it is not.
	Promised bool `json:"promised"`
	Hole     bool `json:"hole"`
	// Code is a reason code of facts.Reason, CUDAError the number a program
	// would meet there; neither is set where a bundle is native.
	Code      string `json:"code,omitempty"`
	CUDAError int    `json:"cuda_error,omitempty"`
	// Near is the bundle that came nearest, where none runs.
	Near string `json:"near,omitempty"`
	Text string `json:"text"`
	Fix  string `json:"fix,omitempty"`
}

// LeftOut is a GPU without a row.
type LeftOut struct {
	CC    string   `json:"cc"`
	Names []string `json:"names"`
	Why   string   `json:"why"`
}

// Bundle is one of the subject's bundles.
type Bundle struct {
	ID      string `json:"id"`
	Cell    string `json:"cell"`
	Toolkit string `json:"toolkit,omitempty"`
	// Size is in bytes, packed, without a runtime part; 0 in a plan.
	Size int64 `json:"size,omitempty"`
	// Glibc is the app part's floor.
	Glibc string `json:"glibc,omitempty"`
	// Serves counts the spans for which it is chosen.
	Serves int `json:"serves"`
	// NotCounted says why it serves nobody, "" where it may.
	NotCounted string `json:"not_counted,omitempty"`
}

// Totals counts GPU × branch pairs by the state of the branch's newest driver.
type Totals struct {
	Native  int `json:"native"`
	JIT     int `json:"jit"`
	Unknown int `json:"unknown"`
	None    int `json:"none"`
	NA      int `json:"not_applicable"`
}

// oldestBranch is the first column, unless a promise reaches below it: cudart 11,
// the oldest with minor-version compatibility, asks for a driver of this branch.
const oldestBranch = 450

// Compute makes the grid. An error means that this program's table is broken.
func Compute(in Input) (Grid, error) {
	t, err := compat.Load()
	if err != nil {
		return Grid{}, err
	}
	j := newJudge(t, in)
	g := Grid{Schema: Schema, Of: in.Subject, Platform: in.Platform, Assumes: assumptions(in), Branches: j.branches,
		GPUs: []GPU{}, LeftOut: []LeftOut{}, Bundles: j.listed, Holes: []Hole{}}
	tegra := map[string]bool{}
	for _, c := range t.Facts.Tegra.Chips {
		tegra[c.CC] = true
	}
	for _, list := range t.Facts.GPUs.List {
		if tegra[list.CC] {
			g.LeftOut = append(g.LeftOut, LeftOut{CC: list.CC, Names: slices.Clone(list.Names),
				Why: "a Tegra chip; its drivers are not in the table"})
			continue
		}
		row := j.row(list)
		g.GPUs = append(g.GPUs, row)
		g.Holes = append(g.Holes, j.holes(row)...)
		for _, c := range row.Cells {
			g.Totals.count(c.Newest().State)
			for _, s := range c.Spans {
				if i := slices.IndexFunc(g.Bundles, func(b Bundle) bool { return b.ID == s.Bundle }); i >= 0 {
					g.Bundles[i].Serves++
				}
			}
		}
	}
	return g, nil
}

func assumptions(in Input) []string {
	a := []string{
		"CUDA libraries that a bundle takes from the host are there.",
		"libstdc++ and the processor are new enough.",
	}
	if in.Subject.Kind == KindPlan {
		a = append([]string{"This is a plan: what the cells of the matrix are asked to hold. Nothing was read from files."}, a...)
	}
	return a
}

// Newest is the span of the branch's newest driver.
func (c Cell) Newest() Span { return c.Spans[len(c.Spans)-1] }

// Hole says whether any span of the cell is one.
func (c Cell) Hole() bool { return slices.ContainsFunc(c.Spans, func(s Span) bool { return s.Hole }) }

// Split says whether older drivers of the branch, of those that know the GPU,
// are in another state than its newest.
func (c Cell) Split() bool {
	return slices.ContainsFunc(c.Spans, func(s Span) bool { return s.State != NA && s.State != c.Newest().State })
}

func (t *Totals) count(state string) {
	switch state {
	case Native:
		t.Native++
	case JIT:
		t.JIT++
	case Unknown:
		t.Unknown++
	case None:
		t.None++
	case NA:
		t.NA++
	}
}

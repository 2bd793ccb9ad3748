package matrix

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Forms in which a bundle gets the CUDA runtime (cudart and cuBLAS), best first.
const (
	// RuntimeHost is a fit copy on the user's machine: nothing is shipped.
	RuntimeHost = "host"
	// RuntimeLean is one library made of NVIDIA's static cuBLAS: the calls that
	// llama.cpp makes, for the GPUs that the cell serves.
	RuntimeLean = "lean"
	// RuntimeStock are NVIDIA's shared libraries, unmodified.
	RuntimeStock = "stock"
)

var runtimeForms = [...]string{RuntimeHost, RuntimeLean, RuntimeStock}

//go:embed runtime.sh
var runtimeScript string

// ReferenceDir is a folder in a lean runtime plan's Out that is no part of the
// runtime: the same library of NVIDIA's archives as they are, which the pruned
// one is held against.
const ReferenceDir = "reference"

// checkRuntime holds a list of forms against their order, best first: the runner
// tries them in it.
func (w *walker) checkRuntime(forms []text, calls []text) {
	last := -1
	for _, f := range forms {
		at := slices.Index(runtimeForms[:], f.S)
		switch {
		case at < 0:
			w.fail(f.Line, "runtime %q is not known; known, best first: %s", f.S, strings.Join(runtimeForms[:], ", "))
		case at < last:
			w.fail(f.Line, "runtime %s stands after %s; best first: %s", f.S, runtimeForms[last], strings.Join(runtimeForms[:], ", "))
		case f.S == RuntimeLean && len(calls) == 0:
			w.fail(f.Line, "a lean runtime holds what build.runtime_calls lists, and that is empty")
		}
		last = max(last, at)
	}
}

// CheckRuntime says what is wrong with forms that a command line gives in place
// of the matrix's.
func (m *Matrix) CheckRuntime(forms []string) error {
	w := &walker{file: "--runtime"}
	var list []text
	for _, f := range forms {
		list = append(list, text{S: f})
	}
	w.checkRuntime(list, m.build.runtimeCalls)
	if len(w.errs) > 0 {
		return fmt.Errorf("--runtime: %s", w.errs[0].Msg)
	}
	return nil
}

// runtimeOf are the forms of a cell: its own, else those of all cells, else the
// host's alone. A cell without a toolkit has none.
func (m *Matrix) runtimeOf(c *cell) []string {
	switch {
	case c.toolkit.S == "":
		return nil
	case len(c.runtime) > 0:
		return plain(c.runtime)
	case len(m.build.runtime) > 0:
		return plain(m.build.runtime)
	}
	return []string{RuntimeHost}
}

// RuntimePlan is the plan of the part that brings a cell its CUDA runtime in a
// form, lean or stock. Cells of one toolkit share the stock one, and those that
// serve the same GPUs the lean one too: Plan.Cell.ID is the part's own, and two
// plans with one ID have one key. It needs no source.
func (m *Matrix) RuntimePlan(c Cell, form string, o PlanOptions) (Plan, error) {
	t := m.toolkits[c.Toolkit]
	if t == nil {
		return Plan{}, fmt.Errorf("the matrix has no toolkit %q", c.Toolkit)
	}
	images, err := m.images(o.ImageFor)
	if err != nil {
		return Plan{}, err
	}
	if o.Builder == "" {
		o.Builder = BuilderDagger
	}
	if err := checkDirs(Cell{}, o.Dirs); err != nil {
		return Plan{}, err
	}
	p, err := m.runtimePlan(c, t, form, images, o)
	if err != nil {
		return Plan{}, err
	}
	o.Dirs, o.Source, o.Jobs = ContainerDirs, SourceID{}, 0
	same, err := m.runtimePlan(c, t, form, images, o)
	if err != nil {
		return Plan{}, err
	}
	p.Key = keyOf(same, o)
	return p, nil
}

func (m *Matrix) runtimePlan(c Cell, t *toolkit, form string, images map[string]string, o PlanOptions) (Plan, error) {
	c = Cell{ID: "cuda" + c.Toolkit + "-" + form, Toolkit: c.Toolkit, Image: c.Image, Platform: c.Platform, SMs: c.SMs,
		PTX: []string{}, Glibc: c.Glibc}
	var args []string
	switch form {
	case RuntimeStock:
		c.SMs = []string{}
	case RuntimeLean:
		c.SMs = t.sameMajor(c.SMs)
		c.ID += "-" + strings.Join(c.SMs, "-")
		args = slices.Concat(plain(m.build.runtimeCalls), []string{"--"}, c.SMs)
	default:
		return Plan{}, fmt.Errorf("a runtime part is lean or stock, not %q", form)
	}
	p := m.place(c, t, images, o)
	p.Steps = []Step{
		script("record", recordScript, p.ToolsFile),
		script("runtime", runtimeScript, append([]string{form, o.Dirs.Out, o.Dirs.Build}, args...)...),
	}
	return p, nil
}

// sameMajor are the SMs of the toolkit whose machine code may serve a GPU that
// code for one of sms serves: a GPU runs the code of its own major only, older
// minors included. For 75 these are 70, 72 and 75: most of cuBLAS's kernels for
// Turing are sm_70's.
func (t *toolkit) sameMajor(sms []string) []string {
	major := func(sm string) string {
		digits := strings.TrimRight(sm, "af")
		return digits[:len(digits)-1]
	}
	keep := []string{}
	for _, sm := range plain(t.sms) {
		if slices.ContainsFunc(sms, func(s string) bool { return major(s) == major(sm) }) {
			keep = append(keep, sm)
		}
	}
	return keep
}

// MaxGlibc is the newest glibc that files of a toolkit's image may ask for, or of
// a stand-in for it; "" promises nothing: a host's own tools, another toolkit.
func (m *Matrix) MaxGlibc(version, image string, standIn bool) string {
	t := m.toolkits[version]
	switch {
	case t == nil || image == BuilderHost:
		return ""
	case standIn && t.standInGlibc.S != "":
		return t.standInGlibc.S
	}
	return m.systems[t.system.S].glibc.S
}

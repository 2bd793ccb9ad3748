package compat

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// ChooseOptions is what the user wants and what is already there.
type ChooseOptions struct {
	// CPU asks for a build without GPU code.
	CPU bool
	// Unknown lets a bundle be chosen whose verdict hinges on an unknown fact;
	// the proof on the GPU decides then.
	Unknown bool
	// Refused lets a bundle be chosen that will not run: whoever asks for it by name
	// wants to see it fail.
	Refused bool
	// Fixture lets this project's own test fixture be chosen.
	Fixture bool
	// Hide lets GPUs be hidden (facts.Choice.Hide) where no bundle serves all of
	// them. Without it that is only proposed.
	Hide bool
	// Installed are digests of packed parts that need not be fetched.
	Installed map[string]bool
	// HostFiles are what inspect read from the host's copies of libraries, by
	// path, libcublasLt beside libcublas too. A copy that was not inspected, or of
	// which that does not tell enough, is taken by SONAME and version.
	HostFiles map[string]facts.File
}

// Decision is a choice and everything that led to it.
type Decision struct {
	// Choice is nil where nothing fits.
	Choice *facts.Choice
	// Candidates are all bundles, best first.
	Candidates []facts.Candidate
	// Fetch is how many bytes the choice has to download.
	Fetch int64
	// Proposal is what could be chosen if GPUs were hidden, where nothing else fits.
	Proposal *facts.Choice
	// Explanation is a sentence where the choice, or that there is none, wants
	// one: no GPU here, GPUs to hide, a fixture left out. Else it is "".
	Explanation string
}

// Choose picks the bundle that will be used, nil where none fits, and judges all
// of them. See Decide for the order.
func Choose(m *bundles.Manifest, h facts.Host, o ChooseOptions) (*facts.Choice, []facts.Candidate) {
	d := Decide(m, h, o)
	return d.Choice, d.Candidates
}

// Decide is Choose with the explanation. Among the bundles that run on all
// visible GPUs it takes machine code before PTX, then one that is marked as
// measurably faster on these GPUs, then the fewest bytes to fetch, then a toolkit that the driver's CUDA covers before one that leans on
// minor-version compatibility, then the newest, then the first id. A build
// without GPU code is taken only where that is asked for or there is no NVIDIA
// GPU, and then it says so. The order of the manifest does not matter.
func Decide(m *bundles.Manifest, h facts.Host, o ChooseOptions) Decision {
	t := table()
	p := t.prepare(h)
	all := make([]*entry, len(m.Bundles))
	for i, b := range m.Bundles {
		all[i] = t.entry(m, b, p, o)
	}
	slices.SortFunc(all, compareEntries)
	var d Decision
	withoutGPU := h.GPUs != nil && len(h.GPUs) == 0
	for _, e := range all {
		if d.Choice != nil || !eligible(e, o, withoutGPU) {
			continue
		}
		if e.bundle.Source.Fixture && !o.Fixture {
			d.Explanation = fmt.Sprintf("Bundle %s is made from this project's test fixture and is not chosen.", e.Bundle)
			continue
		}
		d.Choice, d.Fetch, d.Explanation = e.choice(), e.fetch, ""
		if e.Verdict == facts.VerdictCPU && !o.CPU {
			d.Explanation = "There is no NVIDIA GPU on this host, so the build for the processor alone was chosen."
			e.Reasons = append(e.Reasons, facts.Reason{Code: facts.NoGPU, CUDAError: 100, Sure: "measured", Text: d.Explanation})
		}
	}
	if d.Choice == nil && !o.CPU && len(p.gpus) > 1 && !p.hostSide.refused {
		t.propose(&d, m, all, p, o)
	}
	if d.Choice == nil && d.Explanation == "" {
		d.Explanation = nothing(all, o)
	}
	d.Candidates = make([]facts.Candidate, len(all))
	for i, e := range all {
		d.Candidates[i] = e.Candidate
	}
	return d
}

// nothing says in a sentence that no bundle fits.
func nothing(all []*entry, o ChooseOptions) string {
	switch {
	case len(all) == 0:
		return "The release has no bundles."
	case o.CPU:
		return "The release has no bundle for the processor alone that fits this host."
	case slices.ContainsFunc(all, func(e *entry) bool { return e.Verdict == facts.VerdictUnknown }):
		return "No bundle is known to fit this host; at least one hinges on a fact that is not known."
	}
	return "No bundle of the release fits this host."
}

func eligible(e *entry, o ChooseOptions, withoutGPU bool) bool {
	switch e.Verdict {
	case facts.VerdictNative, facts.VerdictJIT:
		return !o.CPU
	case facts.VerdictUnknown:
		return o.Unknown && !o.CPU
	case facts.VerdictRefused:
		return o.Refused && !o.CPU && !withoutGPU
	case facts.VerdictCPU:
		return o.CPU || withoutGPU
	}
	return false
}

// entry is a judged bundle with what ranks it.
type entry struct {
	facts.Candidate
	bundle  bundles.Bundle
	runtime string // "host", a digest or ""
	form    string // "host", "lean", "stock" or ""
	fetch   int64
	toolkit Version
	covered bool
	faster  bool
	order   int
}

var verdictOrder = [...]string{facts.VerdictNative, facts.VerdictJIT, facts.VerdictUnknown, facts.VerdictCPU, facts.VerdictRefused}

// fasterOn says whether a bundle is marked as faster on every visible GPU.
func fasterOn(b bundles.Bundle, p *prepared) bool {
	for _, g := range p.gpus {
		if !g.known || !slices.ContainsFunc(b.Faster, func(sm string) bool { s, err := ParseSM(sm); return err == nil && s.CC == g.cc }) {
			return false
		}
	}
	return len(p.gpus) > 0
}

// hostRuntime says whether the host has what an app needs, and puts what was
// read from those files into the input.
func (t *Table) hostRuntime(in *CandidateInput, p *prepared, o ChooseOptions) bool {
	found := true
	var files []facts.File
	for _, n := range in.App.Needs {
		if !cudaLibrary(n.Soname) {
			continue
		}
		l := onHost(p.Libs, n.Soname)
		if l == nil || l.Version == "" && n.Min != "" || version(l.Version).Less(version(n.Min)) {
			found = false
			continue
		}
		paths := []string{l.Path}
		if v, ok := strings.CutPrefix(l.Soname, "libcublas.so"); ok { // it loads the one beside itself
			paths = append(paths, path.Join(path.Dir(l.Path), "libcublasLt.so"+v))
		}
		for _, name := range paths {
			if f, ok := o.HostFiles[name]; ok && t.tells(f, p) {
				files = append(files, f)
			}
		}
	}
	if files != nil {
		in.Runtime = &bundles.Part{Kind: bundles.PartRuntime, Files: files}
	}
	return found
}

// tells says whether the facts of a host's library are enough to judge it on the
// visible GPUs. Where they are not (it may have been pruned, and no record says
// what was kept), it is taken as a copy that was not inspected is.
func (t *Table) tells(f facts.File, p *prepared) bool {
	at := t.filesAt([]facts.File{f}, nil)
	if at == nil {
		return true
	}
	for _, g := range p.gpus {
		if g.known && slices.ContainsFunc(at(g.cc).because, func(token string) bool { return strings.HasPrefix(token, becauseUnknown) }) {
			return false
		}
	}
	return true
}

func fetchSize(m *bundles.Manifest, digest string, o ChooseOptions) int64 {
	if digest == "" || digest == bundles.RuntimeHost || o.Installed[digest] {
		return 0
	}
	return m.Parts[digest].Size
}

// compareEntries is the order of preference.
func compareEntries(a, b *entry) int {
	first := func(yes bool) int {
		if yes {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.order, b.order),
		cmp.Compare(first(a.faster), first(b.faster)),
		cmp.Compare(a.fetch, b.fetch),
		cmp.Compare(first(a.covered), first(b.covered)),
		b.toolkit.Compare(a.toolkit),
		cmp.Compare(a.bundle.ID, b.bundle.ID),
	)
}

func (e *entry) choice() *facts.Choice {
	c := &facts.Choice{Bundle: e.bundle.ID, Runtime: e.runtime, RuntimeForm: e.form, RuntimeBecause: e.because(), Hide: []int{}}
	switch e.Verdict {
	case facts.VerdictCPU:
		c.Via = "cpu"
	case facts.VerdictJIT:
		c.Via = facts.ViaPTX
	default:
		c.Via = facts.ViaSASS
		for _, g := range e.GPUs {
			if g.Via != nil && *g.Via == facts.ViaPTX {
				c.Via = facts.ViaPTX
			}
		}
	}
	return c
}

// propose looks for the bundle that serves the most GPUs, machine code first,
// where none serves all: chosen if the user allows hiding, else only said. What
// is proposed was judged again without the GPUs to hide.
func (t *Table) propose(d *Decision, m *bundles.Manifest, all []*entry, p *prepared, o ChooseOptions) {
	var best, without *entry
	var keep, hide []facts.GPU
	for _, e := range all {
		if e.bundle.Source.Fixture && !o.Fixture || len(e.GPUs) != len(p.gpus) {
			continue
		}
		var x []facts.GPU
		rest := *p
		rest.gpus = nil
		for n, g := range e.GPUs {
			if g.Verdict == facts.VerdictNative || g.Verdict == facts.VerdictJIT {
				rest.gpus = append(rest.gpus, p.gpus[n])
			} else {
				x = append(x, p.gpus[n].GPU)
			}
		}
		k := len(rest.gpus)
		if k == 0 || len(x) == 0 || k < len(keep) {
			continue
		}
		again := t.entry(m, e.bundle, &rest, o)
		if again.Verdict != facts.VerdictNative && again.Verdict != facts.VerdictJIT {
			continue
		}
		kept := make([]facts.GPU, k)
		for i, g := range rest.gpus {
			kept[i] = g.GPU
		}
		if best == nil || cmp.Or(cmp.Compare(k, len(keep)), cmp.Compare(without.order, again.order), abler(kept, keep)) > 0 {
			best, without, hide, keep = e, again, x, kept
		}
	}
	if best == nil {
		return
	}
	choice := without.choice()
	var titles []string
	for _, g := range hide {
		choice.Hide = append(choice.Hide, g.Index)
		titles = append(titles, gpuTitle(g))
	}
	fix := visibleDevices(keep, p.GPUs)
	d.Proposal = choice
	d.Explanation = fmt.Sprintf("No bundle serves all GPUs of this host. Bundle %s serves the others if %s is hidden: %s", best.bundle.ID, strings.Join(titles, " and "), fix)
	if o.Hide {
		d.Choice, d.Fetch = choice, without.fetch
		return
	}
	for i, r := range best.Reasons {
		if r.Code != facts.UnknownFact {
			best.Reasons[i].Fix = strings.TrimSuffix(r.Fix, ".") + "; or hide " + strings.Join(titles, " and ") + ": " + fix
			break
		}
	}
}

// beginning is the first group of a UUID's digits, or all of it where another GPU
// of the host begins alike.
func beginning(g facts.GPU, all []facts.GPU) string {
	const first = len("GPU-00000000")
	if len(g.UUID) <= first {
		return g.UUID
	}
	for _, other := range all {
		if other.UUID != g.UUID && strings.HasPrefix(other.UUID, g.UUID[:first]) {
			return g.UUID
		}
	}
	return g.UUID[:first]
}

// abler compares two sets of GPUs: by memory, where that of all is known, then by
// the highest compute capability.
func abler(a, b []facts.GPU) int {
	sum := func(gpus []facts.GPU) (memory int64, known bool, best CC) {
		known = true
		for _, g := range gpus {
			memory, known = memory+g.Memory, known && g.Memory > 0
			if cc, err := ParseCC(g.CC); err == nil && best.Compare(cc) < 0 {
				best = cc
			}
		}
		return memory, known, best
	}
	m1, ok1, cc1 := sum(a)
	m2, ok2, cc2 := sum(b)
	if ok1 && ok2 && m1 != m2 {
		return cmp.Compare(m1, m2)
	}
	return cc1.Compare(cc2)
}

// visibleDevices is what to type. UUIDs do not depend on the order in which CUDA
// counts, and their beginnings will do where they tell the GPUs apart; numbers
// are nvidia-smi's, so that order is asked for.
func visibleDevices(keep, all []facts.GPU) string {
	var ids []string
	for _, g := range keep {
		if g.UUID == "" {
			ids = nil
			break
		}
		ids = append(ids, beginning(g, all))
	}
	if ids != nil {
		return "export CUDA_VISIBLE_DEVICES=" + strings.Join(ids, ",")
	}
	for _, g := range keep {
		ids = append(ids, fmt.Sprint(g.Index))
	}
	return "export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=" + strings.Join(ids, ",")
}

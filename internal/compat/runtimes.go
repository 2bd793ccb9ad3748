package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// entry judges a bundle with each of its runtimes in turn, best first: the host's
// libraries, a lean part, a stock one. It keeps the first with which every visible
// GPU runs machine code, else the first of those that came nearest.
func (t *Table) entry(m *bundles.Manifest, b bundles.Bundle, p *prepared, o ChooseOptions) *entry {
	runtimes := b.Runtime
	if len(runtimes) == 0 {
		runtimes = []string{""}
	}
	var best *entry
	var tried []facts.RuntimeVerdict
	for _, r := range runtimes {
		e := &entry{bundle: b, runtime: r, toolkit: version(b.Toolkit)}
		in := ForBundle(m, b, r)
		if r == bundles.RuntimeHost && !t.hostRuntime(&in, p, o) && slices.ContainsFunc(runtimes, func(r string) bool { return r != bundles.RuntimeHost }) {
			// Nothing on the host to take: a runtime part is not that.
			tried = append(tried, facts.RuntimeVerdict{Runtime: r, Form: r, Verdict: facts.VerdictRefused, Text: hostLacks(in.App, p)})
			continue
		}
		e.Candidate = t.judge(in, p)
		e.order = slices.Index(verdictOrder[:], e.Verdict)
		e.covered = p.driver.Low.Known() && e.toolkit.minor().Compare(p.driver.Low) <= 0
		e.fetch = fetchSize(m, b.App, o) + fetchSize(m, r, o)
		e.faster = e.Verdict == facts.VerdictNative && fasterOn(b, p)
		if len(runtimes) > 1 {
			tried = append(tried, triedWith(m.Parts[r], r, e, in, p))
		}
		if best == nil || e.order < best.order {
			best = e
		}
		if e.order == 0 {
			break
		}
	}
	if len(runtimes) > 1 {
		best.Runtimes = tried
		for i := range tried {
			tried[i].Chosen = tried[i].Runtime == best.runtime
		}
	}
	best.form = formOf(m.Parts[best.runtime], best.runtime)
	return best
}

// formOf is "host", "lean" or "stock"; "" where there is no runtime.
func formOf(p bundles.Part, runtime string) string {
	if runtime == bundles.RuntimeHost {
		return runtime
	}
	return p.Form
}

// triedWith says of a runtime that was judged what it is or what speaks against it.
func triedWith(part bundles.Part, runtime string, e *entry, in CandidateInput, p *prepared) facts.RuntimeVerdict {
	v := facts.RuntimeVerdict{Runtime: runtime, Form: formOf(part, runtime), Verdict: e.Verdict}
	switch {
	case e.Verdict == facts.VerdictRefused || e.Verdict == facts.VerdictUnknown:
		v.Text = against(e.Reasons)
	case runtime == bundles.RuntimeHost:
		var libs []string
		for _, l := range HostRuntime(in.App, p.Host) {
			libs = append(libs, strings.TrimSpace(l.Soname+" "+l.Version)+" at "+l.Path)
		}
		v.Text = "This host has " + strings.Join(libs, ", ") + "."
	case part.Form == "lean":
		v.Text = "The release has a part of NVIDIA's cuBLAS for these GPUs."
	default:
		v.Text = "The release has NVIDIA's libraries."
	}
	return v
}

// against is the sentence that speaks against a runtime: what concerns the runtime
// itself before what would be so with any.
func against(reasons []facts.Reason) string {
	text := ""
	for _, r := range reasons {
		switch {
		case r.Part == bundles.PartRuntime || r.Code == facts.MissingLibrary || r.Code == facts.RuntimeLacksSM:
			return r.Text
		case text == "":
			text = r.Text
		}
	}
	return text
}

// hostLacks says which library the host would have to have.
func hostLacks(app bundles.Part, p *prepared) string {
	if why := p.Unknown["libs"]; why != "" || p.Libs == nil && p.Unknown != nil {
		return "Which CUDA libraries this host has is not known."
	}
	var lacks []string
	for _, n := range app.Needs {
		if !cudaLibrary(n.Soname) {
			continue
		}
		switch l := onHost(p.Libs, n.Soname); {
		case l == nil:
			lacks = append(lacks, n.Soname)
		case l.Version == "" && n.Min != "", version(l.Version).Less(version(n.Min)):
			lacks = append(lacks, n.Soname+" "+n.Min+" or newer")
		}
	}
	return fmt.Sprintf("This host has no %s.", strings.Join(lacks, ", no "))
}

// because joins what spoke against the runtimes before the chosen one.
func (e *entry) because() string {
	var texts []string
	for _, r := range e.Runtimes {
		if r.Chosen {
			break
		}
		if r.Text != "" {
			texts = append(texts, r.Text)
		}
	}
	return strings.Join(texts, " ")
}

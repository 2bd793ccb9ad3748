package compat

import (
	"slices"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// Judge gives the verdict on one candidate on one host, with the reasons. A
// refusal always has one. GPUs that are not visible to CUDA are not judged.
func Judge(c CandidateInput, h facts.Host) facts.Candidate {
	t := table()
	return t.judge(c, t.prepare(h))
}

// prepared is a host, made ready once for many candidates.
type prepared struct {
	facts.Host
	driver   Driver
	maxISA   string
	libc     Version
	glibcxx  Version
	gpus     []gpu // visible ones
	hostSide verdict
}

// gpu is a visible GPU and what can be said of it before any candidate.
type gpu struct {
	facts.GPU
	cc    CC
	known bool
	verdict
}

// verdict gathers reasons. Its zero value is "nothing against it".
type verdict struct {
	refused, unknown bool
	reasons          []facts.Reason
}

func (v *verdict) refuse(r facts.Reason) { v.refused = true; v.note(r) }

// doubt is for what the verdict hinges on.
func (v *verdict) doubt(r facts.Reason) { v.unknown = true; v.note(r) }

// note adds a reason that changes nothing, once.
func (v *verdict) note(r facts.Reason) {
	if !slices.ContainsFunc(v.reasons, func(q facts.Reason) bool { return same(q, r) }) {
		v.reasons = append(v.reasons, r)
	}
}

func same(a, b facts.Reason) bool {
	return a.Code == b.Code && a.Part == b.Part && a.File == b.File && a.Text == b.Text && a.Units == b.Units
}

func (t *Table) prepare(h facts.Host) *prepared {
	p := &prepared{Host: h, libc: version(h.Libc), glibcxx: version(h.Glibcxx)}
	if h.Driver != nil {
		p.driver = t.DriverOf(*h.Driver)
		if p.driver.High.Known() {
			p.maxISA = t.maxISA(p.driver.High).String()
		}
	}
	t.driverSide(p)
	for _, g := range h.GPUs {
		if g.Visible && !g.Dropped {
			p.gpus = append(p.gpus, t.gpuSide(p, g))
		}
	}
	t.noGPU(p)
	return p
}

// part is a part as judge sees it.
type part struct {
	kind   string // "app" or "runtime"
	floors []facts.Floor
	files  []facts.File
}

func (t *Table) judge(c CandidateInput, h *prepared) facts.Candidate {
	parts := []part{{bundles.PartApp, floorsOf(c.App), c.App.Files}}
	if c.Runtime != nil {
		parts = append(parts, part{bundles.PartRuntime, floorsOf(*c.Runtime), c.Runtime.Files})
	}
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.floors == nil })
	out := facts.Candidate{Bundle: c.ID, GPUs: []facts.GPUVerdict{}}

	var all verdict
	hostFit(&all, c, h)
	if len(parts) == 0 {
		if all.refused {
			out.Verdict = facts.VerdictRefused
		} else {
			out.Verdict = facts.VerdictCPU
		}
		out.Reasons = orEmpty(all.reasons)
		return out
	}
	libraries(&all, c, h)
	if h.hostSide.refused {
		all.refused = true
	}
	if h.hostSide.unknown {
		all.unknown = true
	}
	for _, r := range h.hostSide.reasons {
		all.note(r)
	}
	jit := false
	var v verdict
	var via string
	for i, g := range h.gpus {
		// Two cards alike, with nothing said of either, fare alike.
		if i == 0 || g.cc != h.gpus[i-1].cc || len(g.reasons)+len(h.gpus[i-1].reasons) > 0 {
			v, via = t.onGPU(parts, g, h)
		}
		gv := facts.GPUVerdict{Index: g.Index, UUID: g.UUID, CC: g.CC, Reasons: orEmpty(v.reasons)}
		if gv.CC == "" && g.known {
			gv.CC = g.cc.String()
		}
		switch {
		case v.refused:
			gv.Verdict, all.refused = facts.VerdictRefused, true
		case v.unknown:
			gv.Verdict, all.unknown = facts.VerdictUnknown, true
		case via == facts.ViaPTX:
			gv.Verdict, jit = facts.VerdictJIT, true
		default:
			gv.Verdict = facts.VerdictNative
		}
		if !v.refused && via != "" && via != facts.ViaNone {
			way := via
			gv.Via = &way
		}
		out.GPUs = append(out.GPUs, gv)
		for _, r := range v.reasons {
			all.note(r)
		}
	}
	switch {
	case all.refused:
		out.Verdict = facts.VerdictRefused
	case all.unknown:
		out.Verdict = facts.VerdictUnknown
	case jit:
		out.Verdict = facts.VerdictJIT
	default:
		out.Verdict = facts.VerdictNative
	}
	out.Reasons = orEmpty(all.reasons)
	return out
}

func orEmpty(r []facts.Reason) []facts.Reason {
	if r == nil {
		return []facts.Reason{}
	}
	return r
}

// onGPU judges the parts on one GPU. via is "" where the GPU's cc is not known.
func (t *Table) onGPU(parts []part, g gpu, h *prepared) (verdict, string) {
	v := verdict{g.refused, g.unknown, slices.Clone(g.reasons)}
	if !g.known {
		return v, ""
	}
	via := facts.ViaSASS
	for _, p := range parts {
		o := published(p.floors, g.cc)
		if rankVia(o.via) > rankVia(via) {
			via = o.via
		}
		t.onDriver(&v, p, o, g, h)
	}
	if via == facts.ViaPTX {
		jitSide(&v, g, h)
	}
	return v, via
}

// onDriver holds one part's outcome on a GPU against the driver, giving a reason
// for each thing that is not met.
func (t *Table) onDriver(v *verdict, p part, o outcome, g gpu, h *prepared) {
	if o.via == facts.ViaNone {
		v.refuse(t.noImage(p, o, g))
		return
	}
	if h.Driver == nil {
		return // said once for the whole host
	}
	explained := false
	for _, token := range o.because {
		switch w, a := t.meetsToken(h.driver, token, o.demand); a {
		case no:
			explained = true
			v.refuse(t.tooOld(p, o, token, w, g, h))
		case open:
			explained = true
			v.doubt(t.openDemand(p, token, w, g, h))
		}
	}
	if explained {
		return
	}
	// A floor of a newer builder, whose grounds this program does not know.
	switch h.driver.meets(o.demand) {
	case no:
		v.refuse(t.tooOld(p, o, "", o.demand, g, h))
	case open:
		v.doubt(t.openDemand(p, "", o.demand, g, h))
	}
}

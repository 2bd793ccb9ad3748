package compat

import (
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// HostProblems are what is wrong with a host itself, whatever would run on it:
// the reasons that every GPU program would meet there, each once, those with a
// CUDA error first. A machine without an NVIDIA GPU and without a driver has none.
func HostProblems(h facts.Host) []facts.Reason {
	if h.Driver == nil && h.GPUs != nil && len(h.GPUs) == 0 {
		return nil
	}
	t := table()
	p := t.prepare(h)
	v := verdict{reasons: p.hostSide.reasons}
	for _, g := range h.GPUs {
		if g.Dropped && len(p.gpus) > 0 {
			v.note(t.droppedGPU(p, g))
		}
	}
	for _, g := range p.gpus {
		for _, r := range g.reasons {
			v.note(r)
		}
	}
	if h.Driver != nil && len(p.gpus) > 0 {
		jitSide(&v, p.gpus[0], p)
	}
	var first, then []facts.Reason
	for _, r := range v.reasons {
		switch {
		case r.Fix == "", strings.Contains(r.Text, "("+NotGiven+")"): // nothing to mend
		case r.Code == facts.UnknownFact:
			then = append(then, r)
		default:
			first = append(first, r)
		}
	}
	return append(first, then...)
}

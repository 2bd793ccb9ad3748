package coverage

import (
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// nearest is the candidate that came nearest to running, and what stopped it.
// The driver can be changed by whoever has the GPU, glibc by another system,
// code that is not in the file by nobody but the builder.
func nearest(all []facts.Candidate) (facts.Candidate, facts.Reason) {
	best, why, far := facts.Candidate{}, facts.Reason{Code: facts.NoKernelImage, CUDAError: 209, Text: "No bundle holds code for a GPU."}, len(distances)+1
	for _, c := range all {
		switch c.Verdict {
		case facts.VerdictUnknown:
			return c, doubt(c)
		case facts.VerdictRefused:
			if len(c.GPUs) == 0 {
				continue // refused for the processor alone: it was none for a GPU
			}
			r, d := hardest(c)
			if d < far || d == far && (asksLess(r, why) || !asksLess(why, r) && c.Bundle < best.Bundle) {
				best, why, far = c, r, d
			}
		}
	}
	return best, why
}

// asksLess orders refusals of one kind by how old a driver would do.
func asksLess(a, b facts.Reason) bool {
	return a.Need != nil && b.Need != nil && older(a.Need.CUDA, b.Need.CUDA)
}

// distances orders refusals from what a host can change to what only a build can.
var distances = [...][]string{
	{facts.DriverTooOld, facts.PTXISATooNew, facts.CompressionTooNew},
	{facts.GlibcTooOld, facts.LibstdcxxTooOld, facts.CPUISA, facts.MissingLibrary},
	{facts.RuntimeLacksSM},
	{facts.NoKernelImage},
	{facts.Platform},
}

// hardest is the refusal of a candidate that is hardest to lift.
func hardest(c facts.Candidate) (facts.Reason, int) {
	why, far := facts.Reason{}, -1
	for _, r := range c.Reasons {
		if r.Code == facts.UnknownFact {
			continue
		}
		d := slices.IndexFunc(distances[:], func(codes []string) bool { return slices.Contains(codes, r.Code) })
		if d < 0 {
			d = len(distances)
		}
		if d > far {
			why, far = r, d
		}
	}
	return why, far
}

// doubt is what a verdict hinges on: the GPU's own reasons first, since what is
// only noted of the host stands beside them.
func doubt(c facts.Candidate) facts.Reason {
	for _, g := range c.GPUs {
		for _, r := range g.Reasons {
			if r.Code == facts.UnknownFact {
				return r
			}
		}
	}
	for _, r := range c.Reasons {
		if r.Code == facts.UnknownFact && r.Fix != "" {
			return r
		}
	}
	return facts.Reason{Code: facts.UnknownFact, Text: "A fact that the verdict hinges on is not known."}
}

// title picks two of a row's names: the first, and the last GeForce, which is
// the one most people have; else the second.
func title(names []string) string {
	if len(names) == 0 {
		return ""
	}
	short := func(s string) string { return strings.TrimPrefix(strings.TrimPrefix(s, "GeForce "), "NVIDIA ") }
	second := ""
	if len(names) > 1 {
		second = names[1]
	}
	for _, n := range names[1:] {
		if strings.HasPrefix(n, "GeForce ") {
			second = n
		}
	}
	if second == "" {
		return short(names[0])
	}
	return short(names[0]) + ", " + short(second)
}

package compat

import (
	"slices"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// sassFits says whether machine code for a target runs on a GPU.
func (t *Table) sassFits(target SM, cc CC) bool {
	switch {
	case target.Suffix == 'f' && target.Major < firstFamily:
		return false // no such target: a driver takes none that is marked so (measured)
	case target.CC == cc:
		return true
	case target.Suffix == 'a', t.isTegra(target.CC), t.isTegra(cc):
		return false
	case target.Suffix == 'f':
		return t.sameFamily(target.CC, cc) && cc.Compare(target.CC) > 0
	}
	return target.Major == cc.Major && cc.Minor > target.Minor
}

// ptxFits says whether a driver that knows the ISA can compile PTX of a target for a GPU.
func (t *Table) ptxFits(target SM, cc CC) bool {
	switch target.Suffix {
	case 'a':
		return target.CC == cc
	case 'f':
		return target.Major >= firstFamily && (target.CC == cc || t.sameFamily(target.CC, cc) && cc.Compare(target.CC) > 0)
	}
	return cc.Compare(target.CC) >= 0
}

func (t *Table) isTegra(cc CC) bool { _, ok := t.tegra[cc]; return ok }

func (t *Table) sameFamily(a, b CC) bool {
	for _, f := range t.families {
		if slices.Contains(f, a) && slices.Contains(f, b) {
			return true
		}
	}
	return false
}

// firstFamily is the first major with targets of suffix f.
const firstFamily = 10

// picked is the image that a driver chooses in one unit.
type picked struct {
	via   string // facts.ViaSASS, ViaPTX or ViaNone
	image facts.Image
}

// pick chooses in a set of images. Fitting machine code wins, the nearest
// target first, and for one chip the narrower suffix; else the PTX with the
// highest target. Of two for one target a driver takes the first in the file,
// whatever its ISA, its compression or its worth (measured).
func (t *Table) pick(images []facts.Image, cc CC) picked {
	best := picked{via: facts.ViaNone}
	var bestSM SM
	for _, i := range images {
		sm, err := ParseSM(i.SM)
		if err != nil {
			continue
		}
		switch {
		case i.Kind == facts.KindSASS && t.sassFits(sm, cc):
			if best.via == facts.ViaSASS && !nearer(sm, bestSM) {
				continue
			}
			best, bestSM = picked{facts.ViaSASS, i}, sm
		case i.Kind == facts.KindPTX && best.via != facts.ViaSASS && t.ptxFits(sm, cc):
			if best.via == facts.ViaPTX && !nearer(sm, bestSM) {
				continue
			}
			best, bestSM = picked{facts.ViaPTX, i}, sm
		}
	}
	return best
}

// nearer orders images that fit: by target, then by suffix.
func nearer(a, b SM) bool {
	if c := a.Compare(b.CC); c != 0 {
		return c > 0
	}
	return narrow(a.Suffix) > narrow(b.Suffix)
}

// bad is why a driver cannot use the image that it chose, as a token; "" where it can.
func bad(p picked, cc CC) string {
	switch {
	case p.image.Unpadded:
		return becauseUnpadded
	case p.image.Holds == "":
		return ""
	case p.via == facts.ViaSASS:
		return becauseOtherCubin
	}
	// A text for a lower target than its entry's is compiled like any other.
	if sm, err := ParseSM(p.image.Holds); err != nil || cc.Compare(sm.CC) < 0 {
		return becauseOtherText
	}
	return ""
}

func narrow(suffix byte) int {
	switch suffix {
	case 'a':
		return 2
	case 'f':
		return 1
	}
	return 0
}

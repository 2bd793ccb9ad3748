package compat

import (
	"strconv"
	"strings"
)

// What a floor rests on: the "because" of facts.Floor. Together with the table a
// token says what it asks of the driver, so that a reason can be given for each.
const (
	becauseCudart      = "cudart-"      // cudart-12: the major of the CUDA runtime
	becauseToolkit     = "toolkit-"     // toolkit-12: no runtime to be seen, the cubins' toolkit
	becausePTX         = "ptx-isa-"     // ptx-isa-8.7
	becauseCompression = "compression-" // compression-zstd
	becauseNoImage     = "no-kernel-image"
	becauseRelocatable = "relocatable"      // -rdc code: errors are 500, and jit is a device link
	becauseLacksSM     = "runtime-lacks-sm" // a pruned library does not promise this cc
	becauseBad         = "bad-image-"       // what the driver chooses is not what its entry says, or cannot be read
	becauseOtherCubin  = "bad-image-cubin"  // an entry holds machine code for another SM than it is marked with
	becauseOtherText   = "bad-image-ptx"    // an entry holds PTX for a higher target than it is marked with, and than the GPU
	becauseUnpadded    = "bad-image-zlib"   // see facts.Image.Unpadded
	becauseUnknown     = "unknown-"         // unknown-lean, unknown-units, unknown-ptx-isa: the verdict hinges on it
)

// demand is what something asks of libcuda. The zero demand asks nothing.
type demand struct {
	cuda, driver Version
	sure         string
	// below is set where an older CUDA than this is neither known to work nor to fail.
	below Version
}

// highest joins two demands. A driver version decides within its own branch
// only, so it goes with its CUDA version.
func highest(a, b demand) demand {
	sure := weakest(a.sure, b.sure)
	below := a.below
	if below.Less(b.below) {
		below = b.below
	}
	switch c := a.cuda.Compare(b.cuda); {
	case c < 0:
		a.cuda, a.driver = b.cuda, b.driver
	case c == 0 && a.driver.Less(b.driver):
		a.driver = b.driver
	}
	a.sure, a.below = sure, below
	return a
}

// demandOf looks up what a token asks. ok is false for a token whose demand
// this table does not know: a newer builder's, or a PTX ISA newer than the table.
func (t *Table) demandOf(token string) (demand, bool) {
	if d, ok := t.demands[token]; ok {
		return d, true
	}
	if v, ok := strings.CutPrefix(token, becauseCudart); ok {
		return t.runtime(v)
	}
	if v, ok := strings.CutPrefix(token, becauseToolkit); ok {
		return t.runtime(v)
	}
	if v, ok := strings.CutPrefix(token, becausePTX); ok {
		isa := version(v)
		if first := t.Facts.PTXISAs.ISAs; len(first) > 0 && isa.Known() && isa.Less(version(first[0].ISA)) {
			return demand{sure: first[0].Verified}, true
		}
		// An ISA between two known ones, or beyond the last: it asks at least
		// for more than the last known one below it.
		d := demand{sure: "false"}
		for _, i := range t.Facts.PTXISAs.ISAs {
			if c := version(i.CUDA); version(i.ISA).Less(isa) && d.cuda.Less(c) {
				d.cuda = c
			}
		}
		return d, false
	}
	if strings.HasPrefix(token, becauseCompression) {
		return demand{sure: "false"}, false
	}
	switch token {
	case becauseNoImage, becauseRelocatable, becauseLacksSM, becauseOtherCubin, becauseOtherText, becauseUnpadded:
		return demand{}, true
	}
	return demand{sure: "false"}, false
}

// runtime is the demand of cudart of a major ("12"), or of an exact version
// before minor-version compatibility ("10.2").
func (t *Table) runtime(v string) (demand, bool) {
	if major, err := strconv.Atoi(v); err == nil {
		if d, ok := t.majors[major]; ok {
			return d, true
		}
		// The rule "reported CUDA is at least N.0" is NVIDIA's; for a major that
		// the table lacks it is inferred.
		return demand{cuda: version(v + ".0"), sure: "false"}, true
	}
	cuda := version(v).minor()
	driver, sure := t.firstDriverOf(cuda)
	return demand{cuda: cuda, driver: driver, sure: weakest("doc", sure)}, cuda.Known()
}

// runtimeToken names the runtime's demand: by major where minor-version
// compatibility holds, else by the toolkit's own version.
func (t *Table) runtimeToken(prefix string, major int, toolkit string) string {
	if major >= t.Facts.RuntimeMajors.FirstMajor {
		return prefix + strconv.Itoa(major)
	}
	if v := version(toolkit); v.Major() == major {
		return prefix + toolkit
	}
	return prefix + strconv.Itoa(major) + ".0"
}

package verify

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// Known differences between cuobjdump and us. They say nothing about a file:
// the answers are compared after them. There are no others; each was seen in
// the corpus (docs/corpus.md) or in the tests beside this file.
const (
	// KnownStub: it lists the containers of the device linker, which hold no
	// kernel, like any other; we count them apart (facts.Ignored).
	KnownStub = "stub"
	// KnownInputs: it lists the inputs of relocatable code (__nv_relfatbin) with
	// -all, and without it only of objects that have nothing else; we count
	// them apart (facts.Device.Relocatable).
	KnownInputs = "inputs"
	// KnownFalseSuffix: it names cubins for targets below 90 "sm_50a". Suffix a
	// begins with sm_90: such a target does not exist.
	KnownFalseSuffix = "false-suffix"
	// KnownHiddenSuffix: it leaves out a real suffix, without -all or in a file
	// that is newer than the tool.
	KnownHiddenSuffix = "hidden-suffix"
	// KnownLinkedSuffix: the device linker (nvlink 12.4) drops the mark of suffix a
	// (bit 0x800 of a cubin's flags) from what it makes; the fat binary's entry
	// still has it. cuobjdump names by the cubin, we read the entry.
	KnownLinkedSuffix = "linked-suffix"
	// KnownNothing: "No ELF file found" is said on stderr, with exit status 0.
	KnownNothing = "nothing-found"
	// KnownNoDevice: a file without device code has exit status 255.
	KnownNoDevice = "no-device-code"
)

// firstSuffixed is the first target that has a suffix.
const firstSuffixed = 90

// Compare holds the listing against our facts, after the known differences,
// and says which of those were met.
func (w Witness) Compare(f facts.File) (misses []Miss, known []string) {
	ours := Witness{ELF: map[string]int{}, PTX: map[string]int{}}
	if d := f.Device; d != nil {
		for _, t := range d.SASS {
			ours.ELF[t.SM] += max(t.Units, t.Entries)
		}
		for _, t := range d.PTX {
			ours.PTX[t.SM] += max(t.Units, t.Entries)
		}
		if d.Ignored != nil && len(d.Ignored.Images) > 0 {
			ours.add(d.Ignored.Images, 1)
			known = append(known, KnownStub)
		}
		if len(d.Relocatable) > 0 {
			known = append(known, KnownInputs)
			if ext := path.Ext(f.Path); w.All || ext == ".o" || ext == ".a" {
				for _, g := range d.Relocatable {
					ours.add(g.Images, g.Units)
				}
			}
		}
	}
	for _, kind := range []struct {
		what, prefix string
		ours, theirs map[string]int
	}{{"cubins", "sm_", ours.ELF, w.ELF}, {"PTX texts", "compute_", ours.PTX, w.PTX}} {
		theirs, met := w.suffixes(f, kind.ours, kind.theirs)
		known = append(known, met...)
		misses = append(misses, differences(f, kind.what, kind.prefix, kind.ours, theirs)...)
	}
	if older := w.olderThan(f); older != "" && len(misses) > 0 {
		misses = []Miss{{Code: WitnessFailed, File: f.Path, SM: misses[0].SM, Text: older + " and reads it otherwise: " + misses[0].Text,
			Fix: "use the cuobjdump of the file's own toolkit (--cuobjdump PATH)"}}
	}
	slices.Sort(known)
	return misses, slices.Compact(known)
}

func (w Witness) add(images []facts.Image, n int) {
	for _, i := range images {
		switch i.Kind {
		case facts.KindSASS:
			w.ELF[i.SM] += n
		case facts.KindPTX:
			w.PTX[i.SM] += n
		}
	}
}

// olderThan says that the tool is older than what made the file, "" where it is
// not known to be.
func (w Witness) olderThan(f facts.File) string {
	if f.Device == nil || w.Version == "" || !inspect.Newer(f.Device.Toolkit, short(w.Version)) {
		return ""
	}
	return fmt.Sprintf("cuobjdump %s is older than the CUDA %s that made the file", w.Version, f.Device.Toolkit)
}

// short is the release of a version: 12.4.127 is of CUDA 12.4.
func short(version string) string {
	if parts := strings.Split(version, "."); len(parts) > 2 {
		return parts[0] + "." + parts[1]
	}
	return version
}

// suffixes gives theirs with the suffixes that it is known to get wrong put
// right; it only ever moves a count between names of one number.
func (w Witness) suffixes(f facts.File, ours, theirs map[string]int) (map[string]int, []string) {
	theirs = maps.Clone(theirs)
	var known []string
	for _, sm := range slices.Sorted(maps.Keys(theirs)) {
		number := plain(sm)
		if n, err := strconv.Atoi(number); err == nil && number != sm && n < firstSuffixed {
			theirs[number] += theirs[sm]
			delete(theirs, sm)
			known = append(known, KnownFalseSuffix)
		}
	}
	strict := w.All && w.Version != "" && w.olderThan(f) == ""
	linked := linkedSuffixes(f)
	for _, sm := range slices.Sorted(maps.Keys(ours)) {
		number, why := plain(sm), KnownHiddenSuffix
		lacks := ours[sm] - theirs[sm]
		if strict {
			lacks, why = min(lacks, linked[sm]), KnownLinkedSuffix
		}
		if number == sm || lacks <= 0 || theirs[number] < ours[number]+lacks {
			continue
		}
		theirs[sm] += lacks
		if theirs[number] -= lacks; theirs[number] == 0 {
			delete(theirs, number)
		}
		known = append(known, why)
	}
	return theirs, known
}

// linkedSuffixes counts the images of the device linker that have a suffix.
func linkedSuffixes(f facts.File) map[string]int {
	n := map[string]int{}
	count := func(images []facts.Image, units int) {
		for _, i := range images {
			if i.Kind == facts.KindSASS && plain(i.SM) != i.SM {
				n[i.SM] += units
			}
		}
	}
	if f.Device == nil {
		return n
	}
	for _, g := range f.Device.Groups {
		if g.Linked {
			count(g.Images, g.Units)
		}
	}
	if f.Device.Ignored != nil {
		count(f.Device.Ignored.Images, 1)
	}
	return n
}

func plain(sm string) string { return strings.TrimRight(sm, "af") }

func differences(f facts.File, what, prefix string, ours, theirs map[string]int) []Miss {
	all := maps.Clone(ours)
	maps.Copy(all, theirs)
	var list []Miss
	for _, sm := range slices.Sorted(maps.Keys(all)) {
		if ours[sm] != theirs[sm] {
			list = append(list, Miss{Code: WitnessDiffers, File: f.Path, SM: sm,
				Text: fmt.Sprintf("cuobjdump lists %d %s for %s%s, we read %d", theirs[sm], what, prefix, sm, ours[sm]),
				Fix:  "one of the two misreads the file: report it with the file's toolkit and cuobjdump's version"})
		}
	}
	return list
}

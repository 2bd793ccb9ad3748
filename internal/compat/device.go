package compat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// outcome is how a file, part or bundle runs on one compute capability. It does
// not depend on the driver: what the driver must be is in it.
type outcome struct {
	via     string
	lacking facts.Lacking
	because []string // sorted, each once
	demand  demand
	// plain: nothing runs, for no other reason than that there is no image.
	plain bool
}

var viaRank = [...]string{facts.ViaSASS, facts.ViaPTX, facts.ViaNone}

func rankVia(via string) int {
	if i := slices.Index(viaRank[:], via); i >= 0 {
		return i
	}
	return len(viaRank) - 1
}

// worse keeps the worst way.
func (o *outcome) worse(via string) {
	if rankVia(via) > rankVia(o.via) {
		o.via = via
	}
}

// add puts a token and its demand on an outcome.
func (t *Table) add(o *outcome, token string) {
	i, found := slices.BinarySearch(o.because, token)
	if found {
		return
	}
	d, _ := t.demandOf(token)
	o.because = slices.Insert(o.because, i, token)
	o.demand = highest(o.demand, d)
}

// none is the outcome of what does not run: no driver would help, so it asks for none.
func none(lacking facts.Lacking, tokens ...string) outcome {
	slices.Sort(tokens)
	return outcome{via: facts.ViaNone, lacking: lacking, because: slices.Compact(tokens), demand: demand{sure: "doc"}}
}

// judged says whether a device has code that must run.
func judged(d *facts.Device) bool {
	return d != nil && slices.ContainsFunc(d.Groups, func(g facts.Group) bool { return !g.Empty && g.Units > 0 })
}

// deviceAt judges a file's units on one compute capability. lean, if not nil,
// is the record of what pruning kept of NVIDIA's units.
func (t *Table) deviceAt(d *facts.Device, lean *record, cc CC) outcome {
	o := outcome{via: facts.ViaSASS, demand: demand{sure: "doc"}}
	lacks := facts.Lacking{Of: d.Units}
	relocatable, theirs, own := false, false, false
	defining := 0
	for _, g := range d.Groups {
		if g.Empty || g.Units == 0 {
			continue
		}
		defining += g.Units
		if isTheirs(g) {
			theirs = true
			continue
		}
		own = true
		if t.group(&o, d, g, cc) == facts.ViaNone {
			lacks.Units += g.Units
			relocatable = relocatable || g.Linked
		}
	}
	if theirs {
		t.nvidia(&o, &lacks, d, lean, own, cc)
	}
	if o.via == facts.ViaNone {
		tokens := slices.DeleteFunc(slices.Clone(o.because), func(s string) bool { return !strings.HasPrefix(s, becauseBad) })
		if len(tokens) == 0 {
			tokens = []string{becauseNoImage}
		}
		if relocatable {
			tokens = append(tokens, becauseRelocatable)
		}
		if slices.Contains(o.because, becauseLacksSM) {
			tokens, lacks = []string{becauseLacksSM}, facts.Lacking{}
		}
		o = none(lacks, tokens...)
		o.plain = lacks.Units == defining && len(tokens) == 1 && tokens[0] == becauseNoImage
		return o
	}
	t.common(&o, d)
	return o
}

// group judges one group of own units.
func (t *Table) group(o *outcome, d *facts.Device, g facts.Group, cc CC) string {
	p := t.pick(g.Images, cc)
	if !g.Linked || p.via == facts.ViaSASS {
		return t.take(o, p, cc)
	}
	// Relocatable code without fitting machine code is linked by the driver
	// from its inputs: each must have something.
	inputs := 0
	for _, r := range d.Relocatable {
		if r.Empty || r.Units == 0 {
			continue
		}
		inputs++
		if t.take(o, t.pick(r.Images, cc), cc) == facts.ViaNone {
			return facts.ViaNone
		}
	}
	if inputs == 0 {
		o.worse(facts.ViaNone)
		return facts.ViaNone
	}
	o.worse(facts.ViaPTX)
	t.add(o, becauseRelocatable)
	o.demand.sure = weakest(o.demand.sure, "false") // not measured
	return facts.ViaPTX
}

// take adds what the chosen image asks for, and says which way it runs.
func (t *Table) take(o *outcome, p picked, cc CC) string {
	if token := bad(p, cc); p.via != facts.ViaNone && token != "" {
		t.add(o, token)
		p.via = facts.ViaNone
	}
	o.worse(p.via)
	switch token := t.compressionToken(p.image.Compression); {
	case p.via == facts.ViaNone:
	case p.via == facts.ViaPTX:
		if !version(p.image.ISA).Known() {
			t.add(o, becauseUnknown+"ptx-isa")
		} else {
			t.add(o, becausePTX+p.image.ISA)
		}
		// zstd PTX asks for nothing beyond its ISA.
		if token != "" && token != becauseCompression+"zstd" {
			t.add(o, token)
		}
	case token != "":
		t.add(o, token)
	}
	return p.via
}

// compressionToken is "" for what asks nothing of any driver.
func (t *Table) compressionToken(kind string) string {
	if kind == "" {
		kind = "none"
	}
	for _, k := range t.Facts.Compression.Kinds {
		if k.Kind == kind {
			if k.SASSMinCUDA == "" && k.DecoderCUDA == "" {
				return ""
			}
			return becauseCompression + kind
		}
	}
	return becauseUnknown + becauseCompression + kind
}

// isTheirs says whether a group is judged as NVIDIA's: what is called so without
// a proof is too, and then hinges on the unknown.
func isTheirs(g facts.Group) bool {
	return g.Owner == facts.OwnerNVIDIA || g.Owner == facts.OwnerUnknown
}

// nvidia judges NVIDIA's own units: cuBLAS dispatches by device, most of its
// units hold code for one family only, so one that fits is enough as long as
// nothing was pruned away. Otherwise only the record of the pruning can tell that
// nothing is missing.
func (t *Table) nvidia(o *outcome, lacks *facts.Lacking, d *facts.Device, lean *record, own bool, cc CC) {
	if lean != nil && !lean.keeps(t, cc) {
		o.worse(facts.ViaNone)
		t.add(o, becauseLacksSM)
		return
	}
	best, units := facts.ViaNone, 0
	picks := make([]picked, len(d.Groups))
	for i, g := range d.Groups {
		picks[i].via = facts.ViaNone
		if g.Empty || !isTheirs(g) {
			continue
		}
		units += g.Units
		picks[i] = t.pick(g.Images, cc)
		if rankVia(picks[i].via) < rankVia(best) {
			best = picks[i].via
		}
	}
	if best == facts.ViaNone {
		o.worse(facts.ViaNone)
		lacks.Units += units
		return
	}
	for _, p := range picks {
		if p.via == best {
			t.take(o, p, cc)
		}
	}
	switch {
	case lean != nil:
	case pruned(d):
		t.add(o, becauseUnknown+"lean")
	case d.NVIDIA != nil && d.NVIDIA.By == facts.ByDigest:
		// All units are whole: it is NVIDIA's library, or was linked from it.
	case own:
		t.add(o, becauseUnknown+"lean")
	default:
		o.demand.sure = weakest(o.demand.sure, "single")
	}
}

// pruned says whether some of NVIDIA's units may have lost images: one told by
// digest shows it, nvprune leaves units without any image, and what is called
// NVIDIA's and does not look like it could have lost anything.
func pruned(d *facts.Device) bool {
	return slices.ContainsFunc(d.Groups, func(g facts.Group) bool {
		return g.Units > 0 && (g.Pruned || g.Owner == facts.OwnerUnknown || g.Empty && len(g.Images) == 0)
	})
}

// common adds what a file asks of the driver whatever code is chosen.
func (t *Table) common(o *outcome, d *facts.Device) {
	// Of several toolkits the newest decides: drivers take machine code of a newer
	// release within its major only.
	name, toolkit := d.Toolkit, version(d.Toolkit)
	for _, s := range d.Toolkits {
		if v := version(s); toolkit.Less(v) {
			name, toolkit = s, v
		}
	}
	switch {
	case d.Cudart != nil && d.Cudart.Major > 0:
		t.add(o, t.runtimeToken(becauseCudart, d.Cudart.Major, name))
	case toolkit.Known():
		t.add(o, t.runtimeToken(becauseToolkit, toolkit.Major(), name))
	}
	for _, u := range d.Unknown {
		// A wrapper that leads nowhere readable is a unit nobody judged; odd
		// flags and notes are findings, and code with them was seen to run.
		if strings.HasPrefix(u.What, "wrapper") {
			t.add(o, becauseUnknown+"units")
		}
	}
}

// join is the outcome of several files or parts together: the worst way and
// the highest demand.
func (t *Table) join(all []outcome) outcome {
	o := outcome{via: facts.ViaSASS, plain: true}
	for _, p := range all {
		o.worse(p.via)
	}
	for _, p := range all {
		if o.via == facts.ViaNone && p.via != facts.ViaNone {
			continue
		}
		o.plain = o.plain && p.plain
		if o.lacking.Units == 0 {
			o.lacking = p.lacking
		}
		for _, token := range p.because {
			if i, found := slices.BinarySearch(o.because, token); !found {
				o.because = slices.Insert(o.because, i, token)
			}
		}
		o.demand = highest(o.demand, p.demand)
	}
	return o
}

// key tells outcomes apart.
func (o outcome) key() string {
	var b strings.Builder
	b.WriteString(o.via)
	for _, s := range o.because {
		b.WriteString(" " + s)
	}
	b.WriteString("|" + o.demand.cuda.String() + "|" + o.demand.driver.String() + "|" + o.demand.sure + "|" + strconv.Itoa(o.lacking.Units) + "/" + strconv.Itoa(o.lacking.Of))
	return b.String()
}

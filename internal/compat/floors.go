package compat

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// Floors says, for every compute capability, how one file runs there and what
// it asks of the driver: ordered, the first match wins. It is nil where the file
// has no device code that must run. A cc that no floor matches has no kernel
// image; such ccs are listed only where they say more than that.
func Floors(f facts.File) []facts.Floor {
	if !judged(f.Device) {
		return nil
	}
	t := table()
	return t.compress(func(cc CC) outcome { return t.deviceAt(f.Device, nil, cc) })
}

// PartFloors joins the files of a part: the worst way and the highest floors.
// It is nil where no file has device code that must run.
func PartFloors(files []facts.File) []facts.Floor {
	return PartFloorsOf(bundles.Part{Files: files})
}

// PartFloorsOf is PartFloors for a part with a record of pruning: with Lean set,
// NVIDIA's units are believed for the ccs it selected, and for no other.
func PartFloorsOf(p bundles.Part) []facts.Floor {
	t := table()
	fn := t.filesAt(p.Files, p.Lean)
	if fn == nil {
		return nil
	}
	return t.compress(fn)
}

// BundleFloors joins the floors of the parts of a bundle. Parts without floors
// ask nothing of the GPU; it is nil where all are so.
func BundleFloors(parts ...[]facts.Floor) []facts.Floor {
	t := table()
	var fns []func(CC) outcome
	for _, floors := range parts {
		if floors != nil {
			fns = append(fns, func(cc CC) outcome { return published(floors, cc) })
		}
	}
	if fns == nil {
		return nil
	}
	return t.compress(t.joined(fns))
}

// filesAt judges several files together; nil where none has code that must run.
// A file whose groups were left out (a shortened manifest) is judged by its floors.
func (t *Table) filesAt(files []facts.File, lean *bundles.Lean) func(CC) outcome {
	var fns []func(CC) outcome
	var r *record
	if lean != nil {
		r = &record{lean, files}
	}
	for _, f := range files {
		switch {
		case judged(f.Device):
			fns = append(fns, func(cc CC) outcome { return t.deviceAt(f.Device, r, cc) })
		case f.Device != nil && len(f.Device.Groups) == 0 && f.Device.Floors != nil:
			fns = append(fns, func(cc CC) outcome { return published(f.Device.Floors, cc) })
		}
	}
	if fns == nil {
		return nil
	}
	return t.joined(fns)
}

func (t *Table) joined(fns []func(CC) outcome) func(CC) outcome {
	if len(fns) == 1 {
		return fns[0]
	}
	return func(cc CC) outcome {
		all := make([]outcome, len(fns))
		for i, fn := range fns {
			all[i] = fn(cc)
		}
		return t.join(all)
	}
}

// Lookup finds the floor that decides for a compute capability.
func Lookup(floors []facts.Floor, cc CC) (facts.Floor, bool) {
	for _, f := range floors {
		if !matches(f.CC, cc) {
			continue
		}
		excepted := false
		for _, e := range f.Except {
			excepted = excepted || matches(e, cc)
		}
		if !excepted {
			return f, true
		}
	}
	return facts.Floor{}, false
}

// published is the outcome that floors state for a cc.
func published(floors []facts.Floor, cc CC) outcome {
	f, ok := Lookup(floors, cc)
	if !ok {
		o := none(facts.Lacking{}, becauseNoImage)
		o.plain = true
		return o
	}
	o := outcome{via: f.Via, because: f.Because, demand: demand{sure: f.Sure}}
	if !slices.IsSorted(o.because) {
		o.because = slices.Sorted(slices.Values(o.because))
	}
	if f.Lacking != nil {
		o.lacking = *f.Lacking
	}
	if f.MinCUDA != nil {
		o.demand.cuda = version(*f.MinCUDA)
	}
	if f.MinDriver != nil {
		o.demand.driver = version(*f.MinDriver)
	}
	return o
}

// matches reads a range: "A", "A-B", "A-N.x" (up to the end of major N), "A+".
func matches(r string, cc CC) bool {
	low, high, ranged := strings.Cut(r, "-")
	low, open := strings.CutSuffix(low, "+")
	from, err := ParseCC(low)
	if err != nil || cc.Compare(from) < 0 {
		return false
	}
	switch {
	case open:
		return true
	case !ranged:
		return cc == from
	}
	if major, ok := strings.CutSuffix(high, ".x"); ok {
		n, err := strconv.Atoi(major)
		return err == nil && cc.Major <= n
	}
	to, err := ParseCC(high)
	return err == nil && cc.Compare(to) <= 0
}

// grid is every compute capability there could be, and two majors beyond the
// table for those to come: nothing but PTX without a suffix reaches there.
func (t *Table) grid() []CC {
	last := 1
	for _, c := range t.ccs {
		last = max(last, c.Major)
	}
	var all []CC
	for major := 1; major <= last+2; major++ {
		for minor := range 10 {
			all = append(all, CC{major, minor})
		}
	}
	return all
}

// compress writes a function of the compute capability as few floors: machine
// code first, then PTX, then what is worth saying of the rest. A later range may
// run over an earlier one, which wins. Tegra chips, which break most ranges, are
// excepted rather than split at.
func (t *Table) compress(at func(CC) outcome) []facts.Floor {
	grid := t.grid()
	type class struct {
		outcome
		key   string
		first int
	}
	var classes []class
	keys := make([]string, len(grid))
	for i, cc := range grid {
		o := at(cc)
		keys[i] = o.key()
		if !slices.ContainsFunc(classes, func(c class) bool { return c.key == keys[i] }) {
			classes = append(classes, class{o, keys[i], i})
		}
	}
	slices.SortStableFunc(classes, func(a, b class) int {
		return cmp.Or(cmp.Compare(rankVia(a.via), rankVia(b.via)), cmp.Compare(a.first, b.first))
	})
	covered := make([]bool, len(grid))
	floors := []facts.Floor{}
	for _, c := range classes {
		if c.plain {
			continue
		}
		for i := c.first; i < len(grid); i++ {
			if keys[i] != c.key || covered[i] {
				continue
			}
			end := t.run(grid, keys, covered, c.key, i)
			f := floor(c.outcome, span(grid, i, end))
			for j := i; j <= end; j++ {
				if keys[j] == c.key {
					covered[j] = true
				} else if !covered[j] {
					f.Except = append(f.Except, grid[j].String())
				}
			}
			floors = append(floors, f)
			i = end
		}
	}
	if len(floors) == 0 { // nothing runs anywhere: say that, nil means nothing asked
		floors = append(floors, floor(at(grid[0]), span(grid, 0, len(grid)-1)))
	}
	return floors
}

// run finds how far a range that begins at i may go.
func (t *Table) run(grid []CC, keys []string, covered []bool, key string, i int) int {
	end := i
	for j := i; j < len(grid); j++ {
		switch {
		case keys[j] == key:
			end = j
		case covered[j] || t.isTegra(grid[j]):
		default:
			return end
		}
	}
	return end
}

func span(grid []CC, i, end int) string {
	from := grid[i].String()
	switch {
	case end == len(grid)-1:
		return from + "+"
	case end == i && grid[i].Minor < 9:
		return from
	case grid[end].Minor == 9:
		return from + "-" + strconv.Itoa(grid[end].Major) + ".x"
	}
	return from + "-" + grid[end].String()
}

func floor(o outcome, cc string) facts.Floor {
	f := facts.Floor{CC: cc, Via: o.via, Because: slices.Clone(o.because), Sure: o.demand.sure}
	if v := o.demand.cuda; v.Known() {
		s := v.String()
		f.MinCUDA = &s
	}
	if v := o.demand.driver; v.Known() {
		s := v.String()
		f.MinDriver = &s
	}
	if o.lacking.Units > 0 && o.via == facts.ViaNone {
		l := o.lacking
		f.Lacking = &l
	}
	return f
}

package coverage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
)

// judge asks compat for every pair.
type judge struct {
	in       Input
	table    *compat.Table
	counted  *bundles.Manifest // without bundles that serve nobody
	listed   []Bundle
	branches []Branch
	// changes are the drivers at which an answer may change, in order.
	changes []compat.Version
	glibc   string // for rows without a promise
}

func newJudge(t *compat.Table, in Input) *judge {
	j := &judge{in: in, table: t, branches: []Branch{}, listed: []Bundle{}}
	m := *in.Manifest
	m.Bundles = nil
	for _, b := range in.Manifest.Bundles {
		app := in.Manifest.Parts[b.App]
		listed := Bundle{ID: b.ID, Cell: b.Cell, Toolkit: b.Toolkit, Size: app.Size, Glibc: glibcOf(app)}
		if in.Subject.Kind == KindPlan {
			listed.Size = 0 // Planned orders by it and knows no bytes
		}
		if b.Source.Fixture {
			listed.NotCounted = "made of the test fixture"
		} else {
			m.Bundles = append(m.Bundles, b)
		}
		j.listed = append(j.listed, listed)
	}
	j.counted = &m
	first := oldestBranch
	for _, p := range in.Promise {
		if v, err := compat.ParseVersion(p.Driver); err == nil {
			first = min(first, v.Major())
		}
	}
	for _, b := range t.Branches() {
		if n, err := strconv.Atoi(b.Branch); err != nil || n < first {
			continue
		}
		first, _ := t.OldestDriver(b.CUDA)
		if !strings.HasPrefix(first, b.Branch+".") {
			first = "" // the driver that toolkit asks for is of another branch
		}
		j.branches = append(j.branches, Branch{Branch: b.Branch, CUDA: b.CUDA, First: first, Sure: b.Verified})
	}
	for _, p := range in.Promise {
		if older(j.glibc, p.Glibc) {
			j.glibc = p.Glibc
		}
	}
	j.collect()
	return j
}

// collect gathers every driver version that an answer may hinge on, but for the
// first driver of a GPU, which is the row's.
func (j *judge) collect() {
	add := func(s string) { j.changes = insert(j.changes, s) }
	f := j.table.Facts
	for _, m := range f.RuntimeMajors.Majors {
		add(m.MinDriver)
	}
	for _, r := range f.Toolkits.Releases { // what PTX asks for
		first, _ := j.table.OldestDriver(r.Version)
		add(first)
	}
	for _, k := range f.Compression.Kinds {
		add(k.SASSMinDriver)
	}
	for _, b := range j.counted.Bundles {
		for _, digest := range append([]string{b.App}, b.Runtime...) {
			for _, fl := range j.counted.Parts[digest].Floors {
				if fl.MinDriver != nil {
					add(*fl.MinDriver)
				}
			}
		}
	}
}

// insert keeps versions in order, each once. A bare branch is left out: there it
// begins anyway.
func insert(list []compat.Version, s string) []compat.Version {
	v, err := compat.ParseVersion(s)
	if err != nil || !strings.Contains(s, ".") {
		return list
	}
	i, found := slices.BinarySearchFunc(list, v, compat.Version.Compare)
	if found {
		return list
	}
	return slices.Insert(list, i, v)
}

func (j *judge) row(list compat.GPUs) GPU {
	row := GPU{CC: list.CC, Title: title(list.Names), Arch: list.Arch, Names: slices.Clone(list.Names), Glibc: j.glibc, Cells: []Cell{}}
	for _, p := range j.in.Promise {
		if p.CC == list.CC {
			row.Promise, row.Glibc = &p, p.Glibc
		}
	}
	if j.in.Glibc != "" {
		row.Glibc = j.in.Glibc
	}
	changes := slices.Clone(j.changes)
	if row.Promise != nil {
		changes = insert(changes, row.Promise.Driver)
	}
	if cc, err := compat.ParseCC(list.CC); err == nil {
		first, _ := j.table.FirstDriver(cc)
		changes = insert(changes, first)
	}
	for _, b := range j.branches {
		row.Cells = append(row.Cells, j.cell(row, b, changes))
	}
	return row
}

func (j *judge) cell(row GPU, b Branch, changes []compat.Version) Cell {
	c := Cell{Branch: b.Branch}
	drivers := []string{b.Branch}
	for _, v := range changes {
		if strings.HasPrefix(v.String(), b.Branch+".") {
			drivers = append(drivers, v.String())
		}
	}
	for _, d := range drivers {
		s := j.span(row, b, d)
		if n := len(c.Spans); n > 0 && alike(c.Spans[n-1], s) {
			continue
		}
		c.Spans = append(c.Spans, s)
	}
	for i := range c.Spans {
		next := ""
		if i+1 < len(c.Spans) {
			next = c.Spans[i+1].From
		}
		c.Spans[i].Text = words(c.Spans[i], row.CC, b.Branch, next)
	}
	return c
}

// alike: what is said of the first span holds for the second too.
func alike(a, b Span) bool {
	if a.State != b.State || a.Bundle != b.Bundle || a.Promised != b.Promised || a.Code != b.Code || a.Near != b.Near {
		return false
	}
	return a.State != Native || slices.Equal(a.Also, b.Also)
}

// span judges one driver. The driver "450" is the branch's oldest, whatever its number.
func (j *judge) span(row GPU, b Branch, driver string) Span {
	s := Span{From: driver}
	host := Host(j.in.Platform, row.CC, driver, b.CUDA, row.Glibc)
	if why, ok := j.together(host); !ok {
		s.State, s.Code, s.Text = NA, why.Code, why.Text
		return s
	}
	s.Promised = promised(row, driver, b.Branch)
	d := compat.Decide(j.counted, host, compat.ChooseOptions{})
	for _, c := range d.Candidates {
		if c.Verdict == facts.VerdictNative && (d.Choice == nil || c.Bundle != d.Choice.Bundle) {
			s.Also = append(s.Also, c.Bundle)
		}
	}
	slices.Sort(s.Also)
	switch {
	case d.Choice != nil:
		j.served(&s, row.CC, d)
	default:
		c, r := nearest(d.Candidates)
		s.State, s.Near, s.Code, s.CUDAError, s.Fix = None, c.Bundle, r.Code, r.CUDAError, r.Fix
		if r.Code == facts.NoKernelImage { // and so of every bundle
			s.Near, r.Text = "", "No bundle has machine code or PTX that this GPU can run."
		}
		if c.Verdict == facts.VerdictUnknown {
			s.State = Unknown
		}
		s.Text = r.Text
	}
	s.Hole = s.Promised && s.State != Native
	return s
}

// Host is the host that a span stands for, the same that `llcuda-run why
// --driver --sm --glibc` simulates. A bare branch ("450") is its oldest driver.
func Host(platform, cc, driver, cuda, glibc string) facts.Host {
	if !strings.Contains(driver, ".") {
		driver = oldest(driver)
	}
	return facts.Host{
		Platform: platform,
		Driver:   &facts.Driver{Kernel: driver, Libcuda: driver, CUDA: cuda, Source: compat.SourceGiven},
		GPUs:     []facts.GPU{{CC: cc, Visible: true}},
		Libc:     glibc,
		Unknown:  map[string]string{"glibcxx": compat.NotGiven, "libs": compat.NotGiven, "cpu": compat.NotGiven},
	}
}

// words puts a name for a whole range in place of the driver that stood for it,
// and speaks of this GPU: a row says which.
func words(s Span, cc, branch, next string) string {
	text := s.Text
	if s.From == branch {
		what := "driver of branch " + branch
		if next != "" {
			what += " before " + next
		}
		text = strings.ReplaceAll(text, "driver "+oldest(branch), "a "+what)
		text = strings.ReplaceAll(text, "Driver "+oldest(branch), "A "+what)
	}
	return strings.NewReplacer("compute capability "+cc, "this GPU", "GPU 0", "this GPU").Replace(text)
}

// oldest is the number that stands for the oldest driver of a branch.
func oldest(branch string) string { return branch + ".0" }

// together says whether this GPU and this driver ever were in one machine, by
// judging something that asks nothing of either.
func (j *judge) together(h facts.Host) (facts.Reason, bool) {
	c := compat.Judge(compat.CandidateInput{App: bundles.Part{Floors: []facts.Floor{{CC: "1.0+", Via: facts.ViaSASS}}}}, h)
	if c.Verdict == facts.VerdictRefused {
		r := c.Reasons[0]
		if r.Need != nil && r.Code == facts.GPUDropped {
			r.Text = fmt.Sprintf("Driver branch %s was the last for this GPU.", r.Need.Driver)
		} else if r.Need != nil {
			r.Text = fmt.Sprintf("The first driver that knows this GPU is %s.", r.Need.Driver)
		}
		return r, false
	}
	cc, err := compat.ParseCC(h.GPUs[0].CC)
	if err != nil {
		return facts.Reason{}, true
	}
	// Where no source names the GPU's first driver, the CUDA that first could
	// compile for it bounds it. Inferred, and so never a refusal of compat's.
	if first, _ := j.table.FirstDriver(cc); first != "" {
		return facts.Reason{}, true
	}
	isa, _ := j.table.MinISA(cc.SM())
	for _, i := range j.table.Facts.PTXISAs.ISAs {
		if i.ISA == isa && older(h.Driver.CUDA, i.CUDA) {
			return facts.Reason{Code: facts.DriverTooOld, Text: fmt.Sprintf(
				"Inferred: a compiler target for this GPU first appears in CUDA %s, so a driver of an older CUDA does not know it.", i.CUDA)}, false
		}
	}
	return facts.Reason{}, true
}

// served fills in who serves and how.
func (j *judge) served(s *Span, cc string, d compat.Decision) {
	s.Bundle, s.State = d.Choice.Bundle, Native
	i := slices.IndexFunc(j.counted.Bundles, func(b bundles.Bundle) bool { return b.ID == s.Bundle })
	app, run := j.counted.Parts[j.counted.Bundles[i].App], j.counted.Parts[d.Choice.Runtime]
	s.Glibc = glibcOf(app)
	if g := glibcOf(run); older(s.Glibc, g) {
		s.Glibc = g
	}
	asks := ""
	if c, err := compat.ParseCC(cc); err == nil {
		if f, ok := compat.Lookup(compat.BundleFloors(floorsOf(app), floorsOf(run)), c); ok && f.MinCUDA != nil {
			asks = "; its floor is CUDA " + *f.MinCUDA
			if f.MinDriver != nil {
				asks = fmt.Sprintf("; its floor is driver %s (CUDA %s)", *f.MinDriver, *f.MinCUDA)
			}
		}
	}
	if d.Choice.Via == facts.ViaPTX {
		s.State = JIT
		s.Text = fmt.Sprintf("%s has no machine code for compute capability %s, only PTX, which this driver compiles at the first start%s.", s.Bundle, cc, asks)
		return
	}
	s.Text = fmt.Sprintf("%s has machine code for compute capability %s%s.", s.Bundle, cc, asks)
}

func floorsOf(p bundles.Part) []facts.Floor {
	if p.Floors != nil {
		return p.Floors
	}
	return compat.PartFloorsOf(p)
}

// promised says whether the matrix promises machine code here.
func promised(row GPU, driver, branch string) bool {
	p := row.Promise
	if p == nil || older(driver, p.Driver) || older(row.Glibc, p.Glibc) {
		return false
	}
	return p.Until == "" || !older(p.Until, branch)
}

func older(a, b string) bool {
	x, _ := compat.ParseVersion(a)
	y, _ := compat.ParseVersion(b)
	return x.Less(y)
}

// glibcOf is what a part asks for, "" where it does not say.
func glibcOf(p bundles.Part) string {
	floor := p.Glibc
	if floor != "" {
		return floor
	}
	for _, f := range p.Files {
		if f.ELF != nil && older(floor, f.ELF.Glibc) {
			floor = f.ELF.Glibc
		}
	}
	return floor
}

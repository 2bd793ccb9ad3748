package compat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:generate go run ./gen data/cuda.yaml compiled.go

// The YAML is for people. Parsing it, or JSON, would cost every `inspect` and
// `why` a millisecond or more, so it is compiled in, and a test holds one
// against the other.

// Table is the knowledge the rules stand on, as data/cuda.yaml has it, ready to
// be asked. It is never changed after Load.
type Table struct {
	Facts    Facts
	isas     map[string]demand
	demands  map[string]demand // of the tokens that the table knows
	majors   map[int]demand
	tegra    map[CC]string
	families [][]CC
	ccs      []CC
	ordered  []isaOf
	branches []branchVersion
}

// isaOf is a PTX ISA and the CUDA that knows it, read once.
type isaOf struct{ isa, cuda Version }

// branchVersion is a driver branch and the CUDA that it reports.
type branchVersion struct {
	major int
	cuda  Version
}

// Load returns the table that is compiled in, indexed once. An error means that
// this program was built from a broken tree.
func Load() (*Table, error) { return loaded() }

var loaded = sync.OnceValues(func() (*Table, error) { return NewTable(compiled()) })

// table is Load for rules that cannot go on without it. The tests load the same
// bytes, so it does not fail in a program that passed them.
func table() *Table {
	t, err := Load()
	if err != nil {
		panic(err)
	}
	return t
}

// NewTable makes a table of facts.
func NewTable(f Facts) (*Table, error) {
	t := &Table{Facts: f, isas: map[string]demand{}, demands: map[string]demand{}, majors: map[int]demand{}, tegra: map[CC]string{}}
	if t.Facts.Schema != 1 {
		return nil, fmt.Errorf("reading the compatibility table: schema %d, want 1", t.Facts.Schema)
	}
	return t, t.index()
}

// index fills the maps, and is where a broken number is noticed.
func (t *Table) index() error {
	var bad []string
	ver := func(s string) Version {
		v, err := ParseVersion(s)
		if err != nil {
			bad = append(bad, err.Error())
		}
		return v
	}
	cc := func(s string) CC {
		c, err := ParseCC(s)
		if err != nil {
			bad = append(bad, err.Error())
		}
		return c
	}
	for _, m := range t.Facts.RuntimeMajors.Majors {
		t.majors[m.Major] = demand{cuda: ver(m.MinCUDA), driver: ver(m.MinDriver), sure: m.Verified}
	}
	for _, i := range t.Facts.PTXISAs.ISAs {
		d := demand{cuda: ver(i.CUDA), sure: i.Verified}
		var sure string
		if d.driver, sure = t.firstDriverOf(d.cuda); d.driver.Known() {
			d.sure = weakest(d.sure, sure)
		}
		t.isas[i.ISA] = d
		t.ordered = append(t.ordered, isaOf{ver(i.ISA), d.cuda})
	}
	for _, c := range t.Facts.Tegra.Chips {
		if c.Verified != "false" {
			t.tegra[cc(c.CC)] = c.Verified
		}
	}
	for _, f := range t.Facts.Families.List {
		var members []CC
		for _, c := range f.CC {
			members = append(members, cc(c))
		}
		t.families = append(t.families, members)
	}
	for _, g := range t.Facts.GPUs.List {
		t.ccs = append(t.ccs, cc(g.CC))
	}
	slices.SortFunc(t.ccs, CC.Compare)
	for _, b := range t.Facts.DriverBranches.Branches {
		t.branches = append(t.branches, branchVersion{ver(b.Branch).Major(), ver(b.CUDA)})
		ver(b.MaxPTXISA)
	}
	for _, k := range t.Facts.Compression.Kinds {
		d := demand{sure: k.Verified}
		if k.SASSMinCUDA != "" {
			d.cuda, d.driver = ver(k.SASSMinCUDA), ver(k.SASSMinDriver)
		}
		if k.DecoderCUDA != "" {
			d.below = ver(k.DecoderCUDA)
		}
		t.demands[becauseCompression+k.Kind] = d
	}
	for isa, d := range t.isas {
		t.demands[becausePTX+isa] = d
	}
	for major, d := range t.majors {
		t.demands[becauseCudart+strconv.Itoa(major)], t.demands[becauseToolkit+strconv.Itoa(major)] = d, d
	}
	if bad != nil {
		return fmt.Errorf("reading the compatibility table: %s", strings.Join(bad, "; "))
	}
	return nil
}

// CCs are the compute capabilities of the GPUs in the table, in order.
func (t *Table) CCs() []CC { return slices.Clone(t.ccs) }

// Branches are the driver branches of the table, oldest first.
func (t *Table) Branches() []Branch { return slices.Clone(t.Facts.DriverBranches.Branches) }

// firstDriverOf is the oldest driver that NVIDIA's table pairs with a CUDA
// version; not known where there is no such row (CUDA 12.7, 13.4, 13.5).
func (t *Table) firstDriverOf(cuda Version) (Version, string) {
	var first Version
	var sure string
	for _, r := range t.Facts.Toolkits.Releases {
		if version(r.Version).Compare(cuda) != 0 {
			continue
		}
		for _, d := range r.MinDrivers.Map {
			if v := version(d); !first.Known() || v.Less(first) {
				first, sure = v, r.MinDrivers.Verified
			}
		}
	}
	return first, sure
}

// OldestDriver is the oldest driver that NVIDIA pairs with a CUDA version
// ("12.0"), "" where no source does. A branch may have older ones.
func (t *Table) OldestDriver(cuda string) (driver, sure string) {
	v, sure := t.firstDriverOf(version(cuda))
	return v.String(), sure
}

// LastBranch is the last driver branch that knows a GPU, "" where no end is known.
func (t *Table) LastBranch(cc CC) (branch, arch, sure string) {
	for _, s := range t.Facts.GPUSupport.LastBranch {
		from, err1 := ParseCC(s.From)
		to, err2 := ParseCC(s.To)
		if err1 == nil && err2 == nil && cc.Compare(from) >= 0 && cc.Compare(to) <= 0 {
			return s.Branch, s.Arch, s.Verified
		}
	}
	return "", "", ""
}

// branchOf is the branch of a driver: the newest of the table that is not above
// its number. Windows numbers its drivers of branch 580 on to 581 and 582, and
// in WSL they are the kernel's half.
func (t *Table) branchOf(driver Version) int {
	branch := driver.Major()
	for _, b := range t.branches {
		if b.major <= driver.Major() {
			branch = b.major
		}
	}
	return branch
}

// FirstDriver is the first driver that knows a GPU, "" where that is not
// recorded. It is a fact of hosts, never a floor of a file.
func (t *Table) FirstDriver(cc CC) (driver, sure string) {
	for _, s := range t.Facts.GPUSupport.FirstDriver {
		if s.CC == cc.String() {
			return s.Driver, s.Verified
		}
	}
	return "", ""
}

// CUDAOf says what CUDA version a driver reports, by its branch.
func (t *Table) CUDAOf(driver string) (cuda string, sure string) {
	v := version(driver)
	for _, b := range t.Facts.DriverBranches.Branches {
		if v.Known() && version(b.Branch).Major() == v.Major() {
			return b.CUDA, b.Verified
		}
	}
	return "", ""
}

// MinISA is the first PTX ISA that has a target ("90a").
func (t *Table) MinISA(sm string) (isa, sure string) {
	for _, g := range t.Facts.TargetMinISA.Targets {
		if g.SM == sm {
			return g.ISA, g.Verified
		}
	}
	return "", ""
}

// Targets are what a toolkit ("12.4" or "12.4.1") compiles for; nil where that is
// not recorded.
func (t *Table) Targets(toolkit string) (sms []string, sure string) {
	for _, r := range t.Facts.Toolkits.Releases {
		if version(r.Version).Compare(version(toolkit).minor()) == 0 && len(r.SMs.List) > 0 {
			return slices.Clone(r.SMs.List), r.SMs.Verified
		}
	}
	return nil, ""
}

// MaxISA is the newest PTX ISA that a driver of this CUDA version knows, "" if
// that is older than the table.
func (t *Table) MaxISA(cuda string) string {
	return t.maxISA(version(cuda)).String()
}

func (t *Table) maxISA(cuda Version) (best Version) {
	have := cuda.minor()
	for _, i := range t.ordered {
		if have.Known() && i.cuda.Compare(have) <= 0 && best.Less(i.isa) {
			best = i.isa
		}
	}
	return best
}

// CCByName finds the compute capability of a GPU by its product name, the last
// resort where the driver does not tell. The longest name that begins the given
// one decides: "A100-SXM4-40GB" is an A100.
func (t *Table) CCByName(name string) (CC, bool) {
	name = plainName(name)
	var found CC
	var length int
	for _, g := range t.Facts.GPUs.List {
		for _, n := range g.Names {
			if n = plainName(n); len(n) > length && beginsWith(name, n) {
				if cc, err := ParseCC(g.CC); err == nil {
					found, length = cc, len(n)
				}
			}
		}
	}
	return found, length > 0
}

// Datacenter says whether a GPU's name is one of those on which NVIDIA supports a
// forward-compat libcuda. known is false where the name is in no list, and for
// workstation cards: NVIDIA supports "select NGC Server Ready RTX" ones, unnamed.
func (t *Table) Datacenter(name string) (yes, known bool) {
	name = plainName(name)
	if name == "" {
		return false, false
	}
	for _, g := range t.Facts.GPUs.List {
		for _, n := range g.Datacenter {
			if beginsWith(name, plainName(n)) {
				return true, true
			}
		}
	}
	for _, workstation := range []string{"RTX ", "Quadro "} {
		if strings.HasPrefix(name, workstation) {
			return false, false
		}
	}
	_, known = t.CCByName(name)
	return false, known || strings.HasPrefix(name, "GeForce")
}

func plainName(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "NVIDIA ")
	return strings.TrimPrefix(s, "Tesla ")
}

// beginsWith wants a whole word: an "A10" does not begin "A100".
func beginsWith(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '-')
}

// NameByPCI is the product with a PCI device number ("10de:1eb8"), "" where it is
// in no list.
func (t *Table) NameByPCI(id string) string {
	number, ok := strings.CutPrefix(id, "10de:")
	for _, p := range t.Facts.GPUs.PCI {
		if ok && slices.Contains(p.IDs, number) {
			return p.Name
		}
	}
	return ""
}

// CompatBases are the driver branches over which a forward-compat libcuda of a
// CUDA version is accepted; nil where that is not recorded.
func (t *Table) CompatBases(cuda Version) []string {
	for _, p := range t.Facts.ForwardCompat.Packages {
		if version(p.CUDA).Compare(cuda.minor()) == 0 {
			return slices.Clone(p.Base)
		}
	}
	return nil
}

// ErrorByCode describes a CUDA error number.
func (t *Table) ErrorByCode(code int) (CUDAError, bool) {
	for _, e := range t.Facts.Errors.List {
		if e.Code == code {
			return e, true
		}
	}
	return CUDAError{}, false
}

// levels of certainty, surest first.
var levels = [...]string{"measured", "doc", "multi", "single", "false"}

// weakest of two levels; "" is no statement. What is not a level counts as false.
func weakest(a, b string) string {
	rank := func(s string) int {
		if i := slices.Index(levels[:], s); i >= 0 {
			return i
		}
		return len(levels) - 1
	}
	switch {
	case a == "":
		return b
	case b == "" || rank(a) >= rank(b):
		return a
	}
	return b
}

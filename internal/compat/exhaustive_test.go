package compat

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// knownDrivers are every driver version (a bare branch is none) that the data names and, for each
// branch, one before all of its releases and one after them; oldest first.
func knownDrivers() []Version {
	f := table().Facts
	var out []Version
	add := func(s string) {
		v := version(s)
		if v.n > 1 && !slices.ContainsFunc(out, func(w Version) bool { return v.Compare(w) == 0 }) {
			out = append(out, v)
		}
	}
	for _, b := range f.DriverBranches.Branches {
		add(b.Branch + ".01")
		add(b.Branch + ".999")
	}
	for _, r := range f.Toolkits.Releases {
		for _, d := range r.MinDrivers.Map {
			add(d)
		}
	}
	for _, m := range f.RuntimeMajors.Majors {
		add(m.MinDriver)
	}
	for _, d := range f.GPUSupport.FirstDriver {
		add(d.Driver)
	}
	for _, k := range f.Compression.Kinds {
		add(k.SASSMinDriver)
	}
	slices.SortFunc(out, Version.Compare)
	return out
}

// given is a host as `why --driver --sm --glibc` makes it.
func given(t testing.TB, driver, cc, glibc string) facts.Host {
	h, err := SimulatedHost(Simulate{Driver: driver, SMs: []string{cc}, Glibc: glibc})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// hosts are the simulated hosts of a compute capability, one for each driver,
// made ready once: tens of thousands of verdicts are asked of each set.
func hosts(t testing.TB, cc CC, drivers []Version) []*prepared {
	out := make([]*prepared, len(drivers))
	for i, d := range drivers {
		out[i] = table().prepare(given(t, d.String(), cc.String(), "2.39"))
	}
	return out
}

// withGlibc is a host with another glibc.
func withGlibc(p *prepared, glibc string) *prepared {
	q := *p
	q.Libc, q.libc = glibc, version(glibc)
	return &q
}

func runs(c facts.Candidate) bool {
	return c.Verdict == facts.VerdictNative || c.Verdict == facts.VerdictJIT
}

// row is what a build is on one GPU: by which way, from which driver to which
// branch, from which glibc; or the reason why never.
func row(t testing.TB, b build, cc CC, drivers []Version, ready []*prepared) string {
	in := ForFiles(b.id, []facts.File{b.file})
	oldest, newest, way := "", "", ""
	for i, d := range drivers {
		c := table().judge(in, ready[i])
		if !runs(c) {
			continue
		}
		if oldest == "" {
			oldest, way = d.String(), *c.GPUs[0].Via
			if d.n == 2 && d.part[1] == 1 { // before all releases of its branch
				oldest = fmt.Sprintf("R%d", d.Major())
			}
		}
		newest = fmt.Sprintf("R%d", d.Major())
	}
	glibc := b.glibc
	if glibc == "" {
		glibc = "?"
	}
	if oldest == "" {
		// The reason that no driver mends, seen under the last branch that has the GPU.
		branch, _, _ := table().LastBranch(cc)
		if branch == "" {
			branch = drivers[len(drivers)-1].String()
		} else {
			branch += ".999"
		}
		last := Judge(in, given(t, branch, cc.String(), "2.39"))
		var why []string
		for _, r := range last.Reasons {
			if r.Code != facts.UnknownFact && r.Code != facts.MissingLibrary {
				why = append(why, fmt.Sprintf("%s %d", r.Code, r.CUDAError))
			}
		}
		return fmt.Sprintf("%-27s %-5s %-5s %-11s %-7s %-6s %s", b.id, cc, "none", "never", "-", glibc, strings.Join(why, ", "))
	}
	if newest == fmt.Sprintf("R%d", drivers[len(drivers)-1].Major()) {
		newest = "open"
	}
	floor, ok := Lookup(in.App.Floors, cc)
	if !ok {
		t.Fatalf("%s on %s runs and has no floor", b.id, cc)
	}
	return fmt.Sprintf("%-27s %-5s %-5s %-11s %-7s %-6s %s (%s)", b.id, cc, way, oldest, newest, glibc, strings.Join(floor.Because, " "), floor.Sure)
}

// One row for every build and every compute capability: reviewed against
// data/cuda.yaml and the sources that it names. A change here is a change of
// what users are told. "R615" is whatever comes first in that branch.
func TestEveryBuildOnEveryGPU(t *testing.T) {
	var b strings.Builder
	drivers := knownDrivers()
	for _, x := range builds(t) {
		fmt.Fprintf(&b, "# %s, CUDA %s: %s\n", x.id, x.toolkit, x.source)
	}
	fmt.Fprintf(&b, "\n%-27s %-5s %-5s %-11s %-7s %-6s %s\n", "# build", "cc", "via", "from driver", "to", "glibc", "because (sure), or why never")
	ready := map[CC][]*prepared{}
	for _, cc := range table().CCs() {
		ready[cc] = hosts(t, cc, drivers)
	}
	for _, x := range builds(t) {
		for _, cc := range table().CCs() {
			b.WriteString(strings.TrimRight(row(t, x, cc, drivers, ready[cc]), " ") + "\n")
		}
	}
	const golden = "testdata/every-build-on-every-gpu.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("-want +got (go test -update):\n%s", d)
	}
}

// glibcs are 2.17 to 2.39.
func glibcs() []string {
	var out []string
	for n := 17; n <= 39; n++ {
		out = append(out, fmt.Sprintf("2.%d", n))
	}
	return out
}

// expected is the verdict as the rules read aloud, glibc left aside: whether
// driver and GPU ever went together, then the code (reference).
func expected(b build, cc CC, driver string) (verdict, code string) {
	tab := table()
	d := version(driver)
	if last, _, _ := tab.LastBranch(cc); last != "" && d.Major() > version(last).Major() {
		return facts.VerdictRefused, facts.GPUDropped
	}
	if first, _ := tab.FirstDriver(cc); first != "" && d.Less(version(first)) {
		return facts.VerdictRefused, facts.DriverTooOld
	}
	verdict = reference(b.file, cc.Major, cc.Minor, tab.DriverOf(facts.Driver{Libcuda: driver}))
	if first, _ := tab.FirstDriver(cc); first == "" && verdict != facts.VerdictRefused {
		isa, _ := tab.MinISA(cc.SM())
		cuda, _ := tab.CUDAOf(driver)
		for _, i := range tab.Facts.PTXISAs.ISAs {
			if i.ISA == isa && version(cuda).Less(version(i.CUDA)) {
				return facts.VerdictUnknown, facts.UnknownFact
			}
		}
	}
	return verdict, ""
}

// The whole product: every driver branch of the data, every compute capability,
// every glibc, every build; and every driver version that the data names.
func TestTheWholeProduct(t *testing.T) {
	var last []Version // of each branch
	for _, b := range table().Branches() {
		last = append(last, version(b.Branch+".999"))
	}
	known := knownDrivers()
	atEnd, atKnown := map[CC][]*prepared{}, map[CC][]*prepared{}
	for _, cc := range table().CCs() {
		atEnd[cc], atKnown[cc] = hosts(t, cc, last), hosts(t, cc, known)
	}
	for _, b := range builds(t) {
		t.Run(b.id, func(t *testing.T) {
			t.Parallel()
			in := ForFiles(b.id, []facts.File{b.file})
			// The same file as a bundle of a release has the same verdict.
			r := newRelease().cell(b.id, b.toolkit, 1, b.file)
			p := r.m.Parts[r.m.Bundles[0].App]
			p.Glibc = b.glibc
			bundle := ForBundle(r.m, r.m.Bundles[0], "")
			bundle.App = p
			bundle.Platform = "" // a simulated host has none
			judged := 0
			check := func(cc CC, h *prepared, glibc, want, code string) {
				if b.glibc != "" && version(glibc).Less(version(b.glibc)) {
					want, code = facts.VerdictRefused, facts.GlibcTooOld
				}
				driver := h.Driver.Libcuda
				c := table().judge(in, h)
				judged++
				if c.Verdict != want || code != "" && !slices.Contains(codes(c.Reasons), code) {
					t.Fatalf("driver %s, cc %s, glibc %s: %s %v, want %s %s", driver, cc, glibc, c.Verdict, codes(c.Reasons), want, code)
				}
				if !runs(c) && len(c.Reasons) == 0 {
					t.Fatalf("driver %s, cc %s, glibc %s: %s without a reason", driver, cc, glibc, c.Verdict)
				}
				for _, r := range c.Reasons {
					if r.Text == "" || r.Sure == "" || r.Code != facts.UnknownFact && r.Fix == "" {
						t.Fatalf("driver %s, cc %s, glibc %s: a reason without text, certainty or cure: %+v", driver, cc, glibc, r)
					}
				}
				if glibc != "2.17" && glibc != "2.39" {
					return
				}
				if other := table().judge(bundle, h); other.Verdict != c.Verdict {
					t.Fatalf("driver %s, cc %s, glibc %s: the file is %s, the bundle %s %v", driver, cc, glibc, c.Verdict, other.Verdict, codes(other.Reasons))
				}
			}
			for _, cc := range table().CCs() {
				for i, d := range last {
					want, code := expected(b, cc, d.String())
					for _, glibc := range glibcs() {
						check(cc, withGlibc(atEnd[cc][i], glibc), glibc, want, code)
					}
				}
				for i, d := range known {
					want, code := expected(b, cc, d.String())
					check(cc, atKnown[cc][i], "2.39", want, code)
				}
			}
			if want := len(table().CCs()) * len(last) * 23; judged < want {
				t.Errorf("%d cases, want at least %d", judged, want)
			}
		})
	}
}

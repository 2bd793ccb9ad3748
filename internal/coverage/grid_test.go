package coverage_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/coverage"
	"github.com/waqasm86/llcuda/matrix"
)

func TestOurPlanKeepsThePromise(t *testing.T) {
	g := planned(t)
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	for _, p := range promises(t) {
		seen := false
		for _, c := range row(t, g, p.CC).Cells {
			for _, s := range c.Spans {
				seen = seen || s.Promised
			}
		}
		if !seen {
			t.Errorf("%s is promised and no span of the grid says so", p.CC)
		}
	}
}

func promises(t *testing.T) []matrix.Promise {
	m, _ := ours(t)
	return m.Promise()
}

// The story of design.md: one build for all, PTX only for the T4.
func TestTheDefaultBuildOf128LeavesTheT4Out(t *testing.T) {
	g := released(t, upstream())
	for _, branch := range []string{"535", "550"} {
		s := spans(t, g, "7.5", branch)
		if len(s) != 1 || s[0].State != coverage.None || s[0].Code != facts.PTXISATooNew || s[0].CUDAError != 222 || !s[0].Hole {
			t.Fatalf("T4 on %s: %+v", branch, s)
		}
		if !strings.Contains(s[0].Text, "PTX ISA 8.7") {
			t.Errorf("T4 on %s says %q", branch, s[0].Text)
		}
	}
	if s := spans(t, g, "7.5", "580"); s[0].State != coverage.JIT || !s[0].Hole {
		t.Errorf("T4 on 580 compiles PTX, which is less than promised: %+v", s)
	}
	// The same build on an RTX 3090: machine code, which this driver cannot unpack.
	s := spans(t, g, "8.6", "535")
	if len(s) != 1 || s[0].Code != facts.CompressionTooNew || s[0].CUDAError != 200 {
		t.Errorf("RTX 3090 on 535: %+v", s)
	}
	s = spans(t, g, "8.6", "550")
	if len(s) != 2 || s[0].State != coverage.None || s[1].From != "550.54.14" || s[1].State != coverage.Native {
		t.Errorf("RTX 3090 on 550: %+v", s)
	}
	first := slices.IndexFunc(g.Holes, func(h coverage.Hole) bool { return h.CC == "7.5" && h.Code == facts.PTXISATooNew })
	if first < 0 || !strings.Contains(g.Holes[first].Close, "cuda11.8-sm75") {
		t.Errorf("no hole of the T4 names the cell that closes it: %+v", g.Holes)
	}
}

func TestAMissingCellLeavesANamedHole(t *testing.T) {
	g := released(t, without(t, "cuda11.8-all"))
	var err *coverage.HolesError
	if !errors.As(g.Check(), &err) {
		t.Fatal("no hole was found")
	}
	if err.ExitCode() != 1 {
		t.Errorf("exit code %d", err.ExitCode())
	}
	var got []string
	for _, h := range err.Holes {
		got = append(got, h.CC+" "+h.Drivers+": "+h.State+", "+h.Close)
	}
	want := []string{
		"8.0 450.80.02 to 525 before 525.60.13: none, build and add cuda11.8-all",
		"8.6 455.23 to 525 before 525.60.13: none, build and add cuda11.8-all",
		"8.9 520.56.06 to 525 before 525.60.13: none, build and add cuda11.8-all",
	}
	if !slices.Equal(got, want) {
		t.Errorf("holes:\n%s", strings.Join(got, "\n"))
	}
	for _, w := range []string{"release v1 has 3 holes", "RTX 4090", "close it: build and add cuda11.8-all"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q:\n%v", w, err)
		}
	}
}

func TestTheOneKnownHoleIsShownAndNotPromised(t *testing.T) {
	g := planned(t)
	for _, s := range spans(t, g, "9.0", "520") {
		if s.State == coverage.NA {
			continue
		}
		if s.State != coverage.None || s.Promised || s.Hole {
			t.Errorf("Hopper on 520: %+v", s)
		}
	}
	if !slices.ContainsFunc(g.NotPromised(), func(p coverage.Gap) bool { return p.CC == "9.0" && p.From == "520.56.06" }) {
		t.Error("it is not listed among what is not promised")
	}
}

func TestWithinABranchOlderDriversMayFareOtherwise(t *testing.T) {
	s := spans(t, planned(t), "9.0", "525")
	if len(s) != 2 || s[0].From != "525" || s[0].State != coverage.None || s[1].From != "525.60.13" || s[1].State != coverage.Native || s[0].Promised || !s[1].Promised {
		t.Fatalf("Hopper on 525: %+v", s)
	}
	if !strings.Contains(s[0].Text, "a driver of branch 525 before 525.60.13") || strings.Contains(s[0].Text, "525.0") {
		t.Errorf("the oldest drivers are called by a number that is none: %q", s[0].Text)
	}
}

func TestWhatNeverWentTogetherIsNoHole(t *testing.T) {
	g := planned(t)
	for _, c := range []struct{ name, cc, branch, says string }{
		{"a GPU that the branch dropped", "6.1", "590", "branch 580 was the last"},
		{"a driver older than the GPU", "8.9", "470", "520.56.06"},
		{"a driver whose CUDA has no target for the GPU", "10.7", "610", "Inferred"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := spans(t, g, c.cc, c.branch)
			if len(s) != 1 || s[0].State != coverage.NA || s[0].Promised || !strings.Contains(s[0].Text, c.says) {
				t.Errorf("%+v", s)
			}
		})
	}
	// 10.3 is promised from 570.86 on and exists from 580.82.07 on.
	if s := spans(t, g, "10.3", "580"); len(s) != 2 || s[0].State != coverage.NA || s[1].State != coverage.Native || !s[1].Promised {
		t.Errorf("B300 on 580: %+v", s)
	}
}

func TestTooNewAGlibcIsAHoleAndNamesTheCellToBuildAgain(t *testing.T) {
	m := &bundles.Manifest{}
	cell(m, "cuda11.8-all", "11.8", "2.31", "50 60 61 70 75 80 86 89")
	g := released(t, m)
	i := slices.IndexFunc(g.Holes, func(h coverage.Hole) bool { return h.CC == "7.5" })
	if i < 0 {
		t.Fatal("a bundle for glibc 2.31 keeps a promise for glibc 2.28")
	}
	h := g.Holes[i]
	if h.Code != facts.GlibcTooOld || h.Drivers != "450.80.02 to 620" || !strings.Contains(h.Close, "cuda11.8-all again") {
		t.Errorf("%+v", h)
	}
	// On hosts with that glibc it serves, and nothing less is promised there.
	x, plan := ours(t)
	g = compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindDist, Source: "dist"}, Manifest: m, Plan: plan, Promise: x.Promise(), Glibc: "2.31"})
	if s := spans(t, g, "7.5", "535"); s[0].State != coverage.Native || s[0].Glibc != "2.31" || !s[0].Promised {
		t.Errorf("with glibc 2.31: %+v", s)
	}
	g = compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindDist, Source: "dist"}, Manifest: m, Plan: plan, Promise: x.Promise(), Glibc: "2.17"})
	if len(g.Holes) != 0 || g.Verdict() != "Nothing is promised for these hosts." {
		t.Errorf("glibc 2.17 is not promised: %s %v", g.Verdict(), g.Holes)
	}
}

func TestAFixtureServesNobody(t *testing.T) {
	_, plan := ours(t)
	m := *plan
	m.Bundles = slices.Clone(plan.Bundles)
	for i := range m.Bundles {
		m.Bundles[i].Source.Fixture = true
	}
	g := released(t, &m)
	if g.Totals.Native+g.Totals.JIT != 0 || len(g.Holes) < len(promises(t)) {
		t.Errorf("totals %+v, %d holes", g.Totals, len(g.Holes))
	}
	for _, b := range g.Bundles {
		if b.NotCounted == "" || b.Serves != 0 {
			t.Errorf("%+v", b)
		}
	}
	if !strings.Contains(g.Holes[0].Close, "from llama.cpp") {
		t.Errorf("to close it: %s", g.Holes[0].Close)
	}
}

func TestWhatThePromiseAsksBeyondEveryCellIsSaidOfThePlan(t *testing.T) {
	m, plan := ours(t)
	promise := append(m.Promise(), matrix.Promise{CC: "12.1", Driver: "575.51.03", Glibc: "2.28"})
	g := compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindPlan, Source: "m"}, Manifest: plan, Plan: plan, Promise: promise})
	if len(g.Holes) != 1 || g.Holes[0].State != coverage.JIT || !strings.Contains(g.Holes[0].Close, "add sm_121 to a cell") {
		t.Errorf("%+v", g.Holes)
	}
}

// Whatever driver a host has, the grid says of it what llcuda-run would decide.
func TestTheGridAgreesWithTheChoiceOnEveryPair(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	mixed := without(t, "cuda11.8-all", "cuda12.4-sm90")
	cell(mixed, "odd", "12.4", "2.28", "80:zstd 86:zlib p60@8.3 p90@8.6:zstd")
	cell(mixed, "newer", "13.0", "2.34", "75 80 100f p120@9.0")
	_, plan := ours(t)
	asked := 0
	for name, m := range map[string]*bundles.Manifest{"plan": plan, "upstream": upstream(), "mixed": mixed, "empty": {}} {
		g := released(t, m)
		for _, r := range g.GPUs {
			for i, c := range r.Cells {
				b := g.Branches[i]
				for range 3 {
					driver := fmt.Sprintf("%s.%02d.%02d", b.Branch, rnd.IntN(180), rnd.IntN(20))
					if rnd.IntN(3) == 0 && len(c.Spans) > 1 { // at an edge
						driver = c.Spans[1].From
					}
					s := at(t, c, driver)
					d := compat.Decide(m, coverage.Host("linux/amd64", r.CC, driver, b.CUDA, r.Glibc), compat.ChooseOptions{})
					asked++
					switch {
					case s.State == coverage.NA:
						if s.Promised || s.Hole {
							t.Fatalf("%s: %s on %s: %+v", name, r.CC, driver, s)
						}
					case d.Choice == nil:
						unknown := slices.ContainsFunc(d.Candidates, func(c facts.Candidate) bool { return c.Verdict == facts.VerdictUnknown })
						if s.Bundle != "" || (s.State == coverage.Unknown) != unknown || s.Text == "" || s.Code == "" {
							t.Fatalf("%s: %s on %s: nothing fits, the grid says %+v", name, r.CC, driver, s)
						}
					case s.Bundle != d.Choice.Bundle || (s.State == coverage.Native) != (d.Choice.Via == facts.ViaSASS) || (s.State == coverage.JIT) != (d.Choice.Via == facts.ViaPTX):
						t.Fatalf("%s: %s on %s: chosen is %+v, the grid says %+v", name, r.CC, driver, d.Choice, s)
					}
				}
			}
		}
	}
	t.Logf("%d hosts asked", asked)
}

// at is the span that speaks for a driver.
func at(t *testing.T, c coverage.Cell, driver string) coverage.Span {
	t.Helper()
	v, err := compat.ParseVersion(driver)
	if err != nil {
		t.Fatal(err)
	}
	found := c.Spans[0]
	for _, s := range c.Spans[1:] {
		from, err := compat.ParseVersion(s.From)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Less(from) {
			found = s
		}
	}
	return found
}

func TestEveryGPUOfTheTableIsInTheGridOrSaidToBeLeftOut(t *testing.T) {
	table, err := compat.Load()
	if err != nil {
		t.Fatal(err)
	}
	g := planned(t)
	if got := len(g.GPUs) + len(g.LeftOut); got != len(table.Facts.GPUs.List) {
		t.Errorf("%d rows, the table has %d GPUs", got, len(table.Facts.GPUs.List))
	}
	last := 0
	for _, b := range g.Branches {
		n, err := strconv.Atoi(b.Branch)
		if err != nil || n < 450 || n <= last {
			t.Errorf("branch %q after %d", b.Branch, last)
		}
		last = n
	}
	if all := table.Branches(); strconv.Itoa(last) != all[len(all)-1].Branch {
		t.Errorf("the newest column is %d", last)
	}
	for _, r := range g.GPUs {
		for i, c := range r.Cells {
			if c.Branch != g.Branches[i].Branch || c.Spans[0].From != c.Branch {
				t.Errorf("%s, %s begins at %q", r.CC, c.Branch, c.Spans[0].From)
			}
		}
	}
}

func TestAModeOfCompressionThatNobodyKnowsIsNotGuessed(t *testing.T) {
	p := matrix.Plan{Cell: matrix.Cell{ID: "x", Toolkit: "12.8.1", SMs: []string{"75"}}, CMake: []string{"-DGGML_CUDA_COMPRESSION_MODE=balance"}}
	if _, err := coverage.Planned([]matrix.Plan{p}); err == nil || !strings.Contains(err.Error(), "balance") {
		t.Errorf("error %v", err)
	}
	p.CMake[0] = "-DGGML_CUDA_COMPRESSION_MODE=size"
	m, err := coverage.Planned([]matrix.Plan{p})
	if err != nil {
		t.Fatal(err)
	}
	if s := spans(t, released(t, m), "7.5", "535"); s[0].Code != facts.CompressionTooNew {
		t.Errorf("zstd on 535: %+v", s)
	}
}

// Whether an old driver reads zlib is not established: that is no answer, and a
// promise is not kept by one.
func TestWhatIsNotKnownIsUnknown(t *testing.T) {
	m := &bundles.Manifest{}
	cell(m, "odd", "11.8", "2.28", "86:zlib")
	s := spans(t, released(t, m), "8.6", "470")
	if len(s) != 1 || s[0].State != coverage.Unknown || s[0].Code != facts.UnknownFact || s[0].Near != "odd" || !s[0].Hole || !strings.Contains(s[0].Text, "zlib") {
		t.Errorf("%+v", s)
	}
}

func TestAPromiseEndsWithItsLastBranch(t *testing.T) {
	_, plan := ours(t)
	m := &bundles.Manifest{}
	cell(m, "other", "12.4", "2.28", "90")
	g := compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindDist, Source: "dist"}, Manifest: m, Plan: plan,
		Promise: []matrix.Promise{{CC: "7.5", Driver: "460.27.04", Until: "510", Glibc: "2.28"}}})
	if len(g.Holes) != 1 || g.Holes[0].Drivers != "460.27.04 to 510" {
		t.Fatalf("%+v", g.Holes)
	}
	if s := spans(t, g, "7.5", "515"); s[0].Promised || s[0].State != coverage.None {
		t.Errorf("beyond it: %+v", s)
	}
	if s := spans(t, g, "7.5", "460"); len(s) != 2 || s[0].Promised || s[1].From != "460.27.04" || !s[1].Promised {
		t.Errorf("where it begins: %+v", s)
	}
}

func BenchmarkOurMatrix(b *testing.B) {
	m, plan := ours(b)
	in := coverage.Input{Subject: coverage.Subject{Kind: coverage.KindPlan}, Manifest: plan, Plan: plan, Promise: m.Promise(), Platform: "linux/amd64"}
	for b.Loop() {
		if _, err := coverage.Compute(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAThousandBundles(b *testing.B) {
	m, plan := ours(b)
	many := &bundles.Manifest{}
	for i := range 1000 {
		cell(many, fmt.Sprintf("b%03d", i), "12.4", "2.28", "75 80 86 89")
	}
	in := coverage.Input{Subject: coverage.Subject{Kind: coverage.KindDist}, Manifest: many, Plan: plan, Promise: m.Promise(), Platform: "linux/amd64"}
	for b.Loop() {
		if _, err := coverage.Compute(in); err != nil {
			b.Fatal(err)
		}
	}
}

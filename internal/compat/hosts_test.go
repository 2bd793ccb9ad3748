package compat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/matrix"
)

// profile is a file of testdata/hosts: a host, and for each of its fields where
// the value comes from. Readers of hosts ignore everything but "host".
type profile struct {
	Schema  int               `json:"schema"`
	Kind    string            `json:"kind"`
	About   string            `json:"about"`
	Sources map[string]string `json:"sources"`
	Host    facts.Host        `json:"host"`
	fields  []string
}

func profiles(t testing.TB) map[string]profile {
	files, err := filepath.Glob("../../testdata/hosts/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d profiles, %v", len(files), err)
	}
	out := map[string]profile{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var p profile
		var raw struct{ Host map[string]any }
		if err := json.Unmarshal(data, &p); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := json.Unmarshal(data, &raw); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		delete(raw.Host, "unknown") // a reason is its own source
		leaves(raw.Host, "", func(field string) {
			if !slices.Contains(p.fields, field) {
				p.fields = append(p.fields, field)
			}
		})
		out[strings.TrimSuffix(filepath.Base(file), ".json")] = p
	}
	return out
}

func leaves(v any, at string, visit func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			leaves(x, strings.TrimPrefix(at+"."+k, "."), visit)
		}
	case []any:
		if len(v) == 0 {
			visit(at)
		}
		for _, x := range v {
			leaves(x, at, visit)
		}
	default:
		visit(at)
	}
}

func TestEveryFieldOfAProfileNamesItsSource(t *testing.T) {
	recorded := 0
	for name, p := range profiles(t) {
		used := map[string]bool{}
		for _, field := range p.fields {
			source := field
			for source != "" && p.Sources[source] == "" {
				source = source[:max(0, strings.LastIndex(source, "."))]
			}
			if source == "" {
				t.Errorf("%s: %s has no source", name, field)
			}
			used[source] = true
		}
		for s := range p.Sources {
			if !used[s] {
				t.Errorf("%s: a source for %s, which is not there", name, s)
			}
		}
		switch p.Kind {
		case "recorded": // a machine that was really seen
			recorded++
			for field, s := range p.Sources {
				if !strings.HasPrefix(s, "docs/proof/") && !strings.HasPrefix(s, "read by llcuda-run doctor ") {
					t.Errorf("%s: %s is called recorded and comes from %s", name, field, s)
				}
			}
		case "composed":
		default:
			t.Errorf("%s: kind %q", name, p.Kind)
		}
		if p.Schema != 1 || p.About == "" {
			t.Errorf("%s: schema %d, about %q", name, p.Schema, p.About)
		}
	}
	if recorded < 2 {
		t.Errorf("%d recorded machines", recorded)
	}
}

// matrixManifest is a release of the cells that a plain build of our matrix makes:
// an app part as large as its machine code is wide, the host's libraries or a
// stock runtime part. Sizes are only for the order.
func matrixManifest(t testing.TB) (*bundles.Manifest, []matrix.Cell) {
	r := newRelease()
	stock := map[string]string{"11.8": "50 60 61 70 75 80 90", "12.4": "50 60 61 70 75 80 86 89 90", "12.8": "50 60 61 70 75 80 86 89 90 100 120", "13.0": "75 80 86 89 90 100 120"}
	for toolkit, sms := range stock {
		r.runtime("cublas-"+toolkit, toolkit, 400*mb, theirs(200, sms))
	}
	cells := readMatrix(t).Cells()
	for _, c := range cells {
		f := facts.File{Path: "libggml-cpu.so", ELF: &facts.ELF{Glibc: c.Glibc}}
		var runtimes []string
		if c.Toolkit != "" {
			f = buildOf(t, c.ID).file
			runtimes = []string{bundles.RuntimeHost, "cublas-" + version(c.Toolkit).minor().String()}
		}
		r.cell(c.ID, c.Toolkit, cellSize(c), f, runtimes...)
		app := r.m.Bundles[len(r.m.Bundles)-1].App
		p := r.m.Parts[app]
		p.Glibc = c.Glibc
		for i := range p.Needs {
			p.Needs[i].Min = "" // llcuda-build names no version
		}
		r.m.Parts[app] = p
	}
	return r.m, cells
}

func cellSize(c matrix.Cell) int64 { return int64(10+len(c.SMs)*15+len(c.PTX)*5) * mb }

// answer is what a profile should get, worked out from the cells by the rules
// read aloud: the verdict on each cell, and the choice among them.
func answerOf(t testing.TB, h facts.Host, cells []matrix.Cell) (verdicts map[string]string, choice string) {
	tab := table()
	verdicts = map[string]string{}
	d := Driver{}
	if h.Driver != nil {
		d = tab.DriverOf(*h.Driver)
	}
	type chosen struct {
		matrix.Cell
		jit, uncovered bool
		fetch          int64
	}
	var fit []chosen
	for _, c := range cells {
		v := facts.VerdictNative
		worse := func(w string) {
			if slices.Index(verdictOrder[:], w) > slices.Index(verdictOrder[:], v) {
				v = w
			}
		}
		if h.Platform != "" && h.Platform != c.Platform || h.Libc != "" && version(h.Libc).Less(version(c.Glibc)) {
			worse(facts.VerdictRefused)
		}
		if c.Toolkit == "" {
			if v == facts.VerdictNative {
				v = facts.VerdictCPU
			}
			verdicts[c.ID] = v
			continue
		}
		if h.Driver == nil || h.Driver.InitError != 0 {
			worse(facts.VerdictRefused)
		}
		visible := 0
		for _, g := range h.GPUs {
			if !g.Visible || g.Dropped {
				continue
			}
			visible++
			cc, err := ParseCC(g.CC)
			if err != nil {
				cc, _ = tab.CCByName(g.Name)
			}
			if h.Driver != nil {
				if h.Driver.Compat && strings.Contains(g.Name, "GeForce") {
					worse(facts.VerdictRefused)
				}
				old := cc.Major < 7 || cc == CC{7, 0}
				if old && version(h.Driver.Kernel).Major() >= 590 {
					worse(facts.VerdictRefused)
				}
				worse(reference(buildOf(t, c.ID).file, cc.Major, cc.Minor, d))
			}
		}
		if visible == 0 {
			worse(facts.VerdictRefused)
		}
		verdicts[c.ID] = v
		if v == facts.VerdictNative || v == facts.VerdictJIT {
			x := chosen{Cell: c, jit: v == facts.VerdictJIT, fetch: cellSize(c), uncovered: d.Low.Less(version(c.Toolkit).minor())}
			if !slices.ContainsFunc(h.Libs, func(l facts.HostLib) bool {
				return l.Soname == fmt.Sprintf("libcublas.so.%d", version(c.Toolkit).Major())
			}) {
				x.fetch += 400 * mb
			}
			fit = append(fit, x)
		}
	}
	if fit == nil {
		if h.GPUs != nil && len(h.GPUs) == 0 {
			choice = "cpu"
		}
		return verdicts, choice
	}
	order := func(b bool) int { return map[bool]int{false: 0, true: 1}[b] }
	best := slices.MinFunc(fit, func(a, b chosen) int {
		return cmp.Or(order(a.jit)-order(b.jit), cmp.Compare(a.fetch, b.fetch), order(a.uncovered)-order(b.uncovered), version(b.Toolkit).Compare(version(a.Toolkit)), strings.Compare(a.ID, b.ID))
	})
	return verdicts, best.ID
}

func TestEveryProfileGetsTheAnswerOfTheMatrix(t *testing.T) {
	m, cells := matrixManifest(t)
	all := profiles(t)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		wantVerdicts, wantChoice := answerOf(t, p.Host, cells)
		d := Decide(m, p.Host, ChooseOptions{})
		got := map[string]string{}
		for _, c := range d.Candidates {
			got[c.Bundle] = c.Verdict
			if c.Verdict == facts.VerdictRefused && len(c.Reasons) == 0 {
				t.Errorf("%s: %s is refused without a reason", name, c.Bundle)
			}
		}
		if diff := gocmp.Diff(wantVerdicts, got); diff != "" {
			t.Errorf("%s: verdicts (-want +got):\n%s", name, diff)
		}
		choice := ""
		if d.Choice != nil {
			choice = d.Choice.Bundle
		}
		if choice != wantChoice {
			t.Errorf("%s: %q chosen, want %q", name, choice, wantChoice)
		}
		fmt.Fprintf(&b, "%s (%s): %s\n", name, p.Kind, p.About)
		if d.Choice != nil {
			runtime := d.Choice.Runtime
			if runtime != "" && runtime != bundles.RuntimeHost {
				runtime = m.Parts[runtime].Name
			}
			fmt.Fprintf(&b, "  chosen: %s, via %s, runtime %q\n", d.Choice.Bundle, d.Choice.Via, runtime)
		} else {
			fmt.Fprintf(&b, "  chosen: none. %s\n", d.Explanation)
		}
		for _, c := range d.Candidates {
			var why []string
			for _, r := range c.Reasons {
				if code := fmt.Sprintf("%s %d", r.Code, r.CUDAError); r.Code != facts.UnknownFact && !slices.Contains(why, code) {
					why = append(why, code)
				}
			}
			fmt.Fprintf(&b, "  %-8s %-20s %s\n", c.Verdict, c.Bundle, strings.Join(why, ", "))
		}
		for _, r := range HostProblems(p.Host) {
			fmt.Fprintf(&b, "  ! %s %d: %s\n    → %s\n", r.Code, r.CUDAError, r.Text, r.Fix)
		}
		b.WriteString("\n")
	}
	text := strings.ReplaceAll(b.String(), " \n", "\n")
	const golden = "testdata/answers-of-profiles.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), text); diff != "" {
		t.Errorf("-want +got (go test -update):\n%s", diff)
	}
}

package coverage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/coverage"
	"github.com/waqasm86/llcuda/internal/golden"
)

func text(t *testing.T, g coverage.Grid) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := g.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func html(t *testing.T, g coverage.Grid) string {
	t.Helper()
	var b bytes.Buffer
	if err := g.WriteHTML(&b, "2026-11-25"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextOfGrids(t *testing.T) {
	golden.Check(t, "plan.txt", text(t, planned(t)))
	golden.Check(t, "default-12.8.txt", text(t, released(t, upstream())))
	golden.Check(t, "missing-cell.txt", text(t, released(t, without(t, "cuda11.8-all"))))
}

// The form is what others rely on; three rows and four branches show it whole.
func TestJSONKeepsItsPublishedForm(t *testing.T) {
	g := released(t, upstream())
	keep := []string{"450", "535", "550", "580"}
	g.Branches = slices.DeleteFunc(g.Branches, func(b coverage.Branch) bool { return !slices.Contains(keep, b.Branch) })
	g.GPUs = slices.DeleteFunc(g.GPUs, func(r coverage.GPU) bool { return r.CC != "3.7" && r.CC != "7.5" && r.CC != "8.6" })
	for i := range g.GPUs {
		g.GPUs[i].Cells = slices.DeleteFunc(g.GPUs[i].Cells, func(c coverage.Cell) bool { return !slices.Contains(keep, c.Branch) })
	}
	g.Holes = slices.DeleteFunc(g.Holes, func(h coverage.Hole) bool { return h.CC != "7.5" })
	got, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "default-12.8.json", append(got, '\n'))
}

// An empty list is a list: programs need not tell null from nothing.
func TestJSONHasNoNullButForAPromise(t *testing.T) {
	for _, m := range []*bundles.Manifest{{}, upstream()} {
		got, err := json.Marshal(released(t, m))
		if err != nil {
			t.Fatal(err)
		}
		if null := regexp.MustCompile(`"(\w+)":null`).FindAllSubmatch(got, -1); slices.ContainsFunc(null, func(m [][]byte) bool { return string(m[1]) != "promise" }) {
			t.Errorf("null: %q", null)
		}
	}
}

// hostile is a release whose strings try to get out of where they are put.
func hostile() *bundles.Manifest {
	m := &bundles.Manifest{}
	cell(m, `</script><img src=x onerror=alert(1)>"'`+"\x1b[31m\u202e", "12.4", `2.28"><b>`, "75 86")
	cell(m, "b`${1}\u2028", "12.<i>", "", "90")
	return m
}

func TestNothingOfAManifestEscapesOnThePage(t *testing.T) {
	m := hostile()
	for i := range m.Bundles {
		m.Bundles[i].Source.Fixture = i == 1
	}
	x, plan := ours(t)
	g := compute(t, coverage.Input{Subject: coverage.Subject{Kind: coverage.KindRelease, Source: `https://h/"><script>alert(2)</script>`, Release: "<u>v1", Tool: "t&<s>"},
		Manifest: m, Plan: plan, Promise: x.Promise()})
	page := html(t, g)
	for _, bad := range []string{"<img", "onerror=alert(1)>", "<script>alert", "<u>v1", "<s>", "<b>,", "\x1b", "</script><"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if n := strings.Count(page, "<script>"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if !strings.Contains(page, "&lt;u&gt;v1") {
		t.Error("the release's name is not on the page, escaped")
	}
	for line := range strings.Lines(string(text(t, g))) {
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.Is(unicode.C, r) || r == '\u2028' {
				t.Errorf("the text holds %U: %q", r, line)
			}
		}
	}
}

func TestThePageStandsAlone(t *testing.T) {
	for name, g := range map[string]coverage.Grid{"plan": planned(t), "release": released(t, upstream())} {
		page := html(t, g)
		if m := regexp.MustCompile(`(?i)(?:src|href|action)\s*=|url\(|@import|fetch\(|XMLHttp`).FindString(page); m != "" {
			t.Errorf("%s: the page reaches outside: %q", name, m)
		}
		if n := strings.Count(page, "<button"); n != len(g.GPUs)*len(g.Branches) {
			t.Errorf("%s: %d cells", name, n)
		}
		if n := len(regexp.MustCompile(`<button[^>]* aria-label="[^"]+: [^"]+"`).FindAllString(page, -1)); n != len(g.GPUs)*len(g.Branches) {
			t.Errorf("%s: %d cells have words of their own", name, n)
		}
		for _, want := range []string{"2026-11-25", "prefers-color-scheme: dark", "Legend", "Tesla T4", g.Verdict()} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %q", name, want)
			}
		}
		if len(page) > 256<<10 {
			t.Errorf("%s: the page has %d bytes", name, len(page))
		}
	}
	page := html(t, released(t, upstream()))
	for _, want := range []string{"release v1, sequence 7, from github:owner/repo", "Holes in the promise", "CUDA error 222"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestTextFitsHundredColumns(t *testing.T) {
	for name, g := range map[string]coverage.Grid{
		"plan": planned(t), "default": released(t, upstream()), "empty": released(t, &bundles.Manifest{}), "missing": released(t, without(t, "cuda12.8-all")),
	} {
		for line := range strings.Lines(string(text(t, g))) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

// The default build as a dist folder, for scripts/coverage-page.sh and for whoever
// wants to see it: llcuda-build coverage --from internal/coverage/testdata/default-dist.
func TestTheDefaultBuildAsADistFolder(t *testing.T) {
	m := upstream()
	b := m.Bundles[0]
	p := m.Parts[b.App]
	digest := func(what string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("synthetic "+what))) }
	b.App, p.Contents = digest("part"), digest("tree")
	b.Image.Ref, b.Source = "synthetic", bundles.Source{URL: "https://example.org/llama.cpp", Ref: "synthetic"}
	dir := t.TempDir()
	file, err := bundles.WriteFragment(dir, bundles.Fragment{Bundle: b, Parts: map[string]bundles.Part{b.App: p}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "default-dist/"+filepath.Base(file), got)
}

package coverage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
)

// Hole is a range of drivers on which a GPU is promised machine code and gets
// none.
type Hole struct {
	CC    string `json:"cc"`
	Title string `json:"title"`
	// From is the oldest driver, To the newest branch; Drivers is the range in
	// words, which may end within that branch.
	From    string `json:"from"`
	To      string `json:"to"`
	Drivers string `json:"drivers"`
	Glibc   string `json:"glibc"`
	// State is what the release has there instead, by Bundle where it is jit.
	State  string `json:"state"`
	Bundle string `json:"bundle,omitempty"`
	Code   string `json:"code,omitempty"`
	Text   string `json:"text"`
	// Cells are those of the matrix that would serve the whole range.
	Cells []string `json:"cells"`
	// Close says what to do.
	Close string `json:"close"`
}

// String is the hole in one line.
func (h Hole) String() string {
	return fmt.Sprintf("compute capability %s (%s), drivers %s, glibc %s: promised native, is %s: %s", h.CC, h.Title, h.Drivers, h.Glibc, h.State, h.Text)
}

// holes joins a row's holes into ranges that one thing would close.
func (j *judge) holes(row GPU) []Hole {
	var all []Hole
	open := false // the last of all goes on here
	for i, c := range row.Cells {
		for k, s := range c.Spans {
			if !s.Hole {
				open = open && s.State == NA // an oldest driver that does not know the GPU splits nothing
				continue
			}
			cells := j.serving(row, j.branches[i], s.From)
			if n := len(all) - 1; open && all[n].State == s.State && all[n].Code == s.Code && all[n].Bundle == s.Bundle {
				if both := common(all[n].Cells, cells); len(both) > 0 || len(all[n].Cells)+len(cells) == 0 {
					all[n].Cells, all[n].To, all[n].Drivers = both, c.Branch, reach(all[n].From, c.end(k))
					continue
				}
			}
			all = append(all, Hole{CC: row.CC, Title: row.Title, From: s.From, To: c.Branch, Drivers: reach(s.From, c.end(k)), Glibc: row.Glibc,
				State: s.State, Bundle: s.Bundle, Code: s.Code, Text: s.Text, Cells: cells})
			open = true
		}
	}
	for i := range all {
		all[i].Close = j.toClose(all[i])
	}
	return all
}

// serving are the planned bundles that would be native there.
func (j *judge) serving(row GPU, b Branch, driver string) []string {
	cells := []string{}
	if j.in.Plan == nil {
		return cells
	}
	d := compat.Decide(j.in.Plan, Host(j.in.Platform, row.CC, driver, b.CUDA, row.Glibc), compat.ChooseOptions{})
	for _, c := range d.Candidates {
		if c.Verdict == facts.VerdictNative {
			cells = append(cells, c.Bundle)
		}
	}
	slices.Sort(cells)
	return cells
}

func common(a, b []string) []string {
	both := []string{}
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

// toClose says what would close a hole: a cell to build, to build again, or to change.
func (j *judge) toClose(h Hole) string {
	var missing, again, fixture []string
	for _, cell := range h.Cells {
		i := slices.IndexFunc(j.listed, func(b Bundle) bool { return b.Cell == cell })
		switch {
		case i < 0:
			missing = append(missing, cell)
		case j.listed[i].NotCounted != "":
			fixture = append(fixture, cell)
		default:
			again = append(again, cell)
		}
	}
	cc, _ := compat.ParseCC(h.CC)
	switch {
	case j.in.Subject.Kind == KindPlan || len(h.Cells) == 0:
		return fmt.Sprintf("no cell of the matrix keeps it: add sm_%s to a cell whose toolkit and image run there, or take the line out of the promise", cc.SM())
	case len(again) > 0:
		return "build " + or(again) + " again: what is there does not hold what its cell promises"
	case len(fixture) > 0:
		return "build " + or(fixture) + " from llama.cpp: what is there is made of the test fixture"
	}
	return "build and add " + or(missing)
}

func or(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

// HolesError says that a release does not keep the promise.
type HolesError struct {
	What  string // "release v1", "dist"
	Holes []Hole
}

func (e *HolesError) Error() string {
	lines := []string{e.Title()}
	for _, h := range e.Holes {
		lines = append(lines, h.String()+"\n  close it: "+h.Close)
	}
	return strings.Join(lines, "\n")
}

// Title is the error without its list.
func (e *HolesError) Title() string {
	n := "1 hole"
	if len(e.Holes) != 1 {
		n = fmt.Sprintf("%d holes", len(e.Holes))
	}
	return fmt.Sprintf("%s has %s in the matrix's promise", e.What, n)
}

// ExitCode is that of a check that found a miss.
func (e *HolesError) ExitCode() int { return 1 }

// Check is nil where the grid keeps the promise.
func (g Grid) Check() error {
	if len(g.Holes) == 0 {
		return nil
	}
	return &HolesError{What: g.Of.String(), Holes: g.Holes}
}

// String names the subject.
func (s Subject) String() string {
	switch s.Kind {
	case KindPlan:
		return "the plan of " + s.Source
	case KindRelease:
		return "release " + s.Release
	}
	return s.Source
}

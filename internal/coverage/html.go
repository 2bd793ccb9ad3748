package coverage

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
)

//go:embed page.html.tmpl
var pageText string

// page is parsed when it is first written.
var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageText)) })

// pageView is what the page's template sees. Strings of the manifest reach the
// page through it alone, and html/template escapes each for its place.
type pageView struct {
	Grid
	Date   string
	Rows   []rowView
	Keys   []keyView
	Groups [][]GPU
	Gaps   []Gap
	// Tips are the sentences of all cells, each once; a cell names its own by number.
	Tips []tipView
}

type rowView struct {
	GPU
	Title string
	Cells []cellView
}

type cellView struct {
	Class, Glyph, Label string
	Split, Later        bool
	// Tips are numbers in pageView.Tips, separated by blanks.
	Tips string
}

// tipView is one span in a tooltip. Its fields are named as the script reads them.
type tipView struct {
	Drivers string `json:"d"`
	Class   string `json:"c"`
	Label   string `json:"l"`
	Bundle  string `json:"b,omitempty"`
	Also    string `json:"a,omitempty"`
	Glibc   string `json:"g,omitempty"`
	Text    string `json:"t"`
}

type keyView struct{ Class, Glyph, Text string }

// keys are the states with their glyphs: shapes and letters, so that no answer
// hangs on a colour.
var keys = []keyView{
	{"native", "N", "native: machine code"},
	{"jit", "J", "jit: only PTX, the driver compiles it at the first start"},
	{"none", "–", "none, and not promised"},
	{"hole", "!", "hole: promised native, and it is not"},
	{"unknown", "?", "unknown: it hinges on a fact that is not known"},
	{"na", "", "not applicable: this GPU and this driver never went together"},
}

// class is a span's key.
func class(s Span) string {
	switch {
	case s.Hole:
		return "hole"
	case s.State == NA:
		return "na"
	}
	return s.State
}

func glyph(class string) string {
	for _, k := range keys {
		if k.Class == class {
			return k.Glyph
		}
	}
	return ""
}

// WriteHTML writes the grid as one page that needs nothing else: no network, no
// other file; without a script it shows the same in lists. date is the day it
// was made, "2026-11-25".
func (g Grid) WriteHTML(w io.Writer, date string) error {
	v := pageView{Grid: g, Date: date, Keys: keys, Groups: g.Groups(), Gaps: g.NotPromised()}
	seen := map[string]int{}
	for _, r := range g.GPUs {
		row := rowView{GPU: r, Title: r.Title}
		for i, c := range r.Cells {
			row.Cells = append(row.Cells, v.cell(r, c, g.Branches[i], seen))
		}
		v.Rows = append(v.Rows, row)
	}
	var b strings.Builder
	if err := page().Execute(&b, v); err != nil {
		return err
	}
	// The template escapes; what cannot be seen is replaced besides.
	for line := range strings.Lines(b.String()) {
		text, end := strings.CutSuffix(line, "\n")
		if text = plain(text); end {
			text += "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func (v *pageView) cell(r GPU, c Cell, b Branch, seen map[string]int) cellView {
	out := cellView{Class: class(c.Newest()), Split: c.Split()}
	if c.Hole() {
		out.Class = "hole"
	}
	out.Glyph = glyph(out.Class)
	var tips, said []string
	for i, s := range c.Spans {
		tip := tipView{Drivers: reach(s.From, c.end(i)), Class: class(s), Label: s.Label(), Bundle: s.Bundle, Also: strings.Join(s.Also, ", "), Text: reason(s)}
		if s.Bundle != "" {
			tip.Glibc = orUnknown(s.Glibc)
		}
		key := fmt.Sprint(tip)
		n, ok := seen[key]
		if !ok {
			n = len(v.Tips)
			seen[key] = n
			v.Tips = append(v.Tips, tip)
		}
		tips = append(tips, fmt.Sprint(n))
		said = append(said, strings.TrimSpace(tip.Drivers+" "+tip.Label+" "+s.Bundle))
	}
	out.Tips = strings.Join(tips, " ")
	out.Label = fmt.Sprintf("%s, branch %s: %s", r.Title, b.Branch, strings.Join(said, "; "))
	return out
}

// FullNames are all names of a row, for those who look for their own.
func (g GPU) FullNames() string { return strings.Join(g.Names, ", ") }

// Why is a range's reason with its code.
func (r Range) Why() string { return reason(r.Span) }

// Class is a range's key.
func (r Range) Class() string { return class(r.Span) }

// Glyph is its letter.
func (r Range) Glyph() string { return glyph(class(r.Span)) }

// Others are the other native bundles, in words.
func (s Span) Others() string { return strings.Join(s.Also, ", ") }

// SizeText is a bundle's size, rounded, "" where none is known.
func (b Bundle) SizeText() string {
	if b.Size == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MB", float64(b.Size)/1e6)
}

// Note is what is worth saying of a bundle.
func (b Bundle) Note() string { return b.note() }

// Subject is what the grid is of, in words.
func (g Grid) Subject() string { return g.subject() }

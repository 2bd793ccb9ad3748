package timeline

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
)

// Sizes of the drawing, in its own units.
const (
	labels  = 170 // left of the lanes
	width   = 900 // of the lanes
	pitch   = 30  // from lane to lane
	bar     = 20
	top     = 46 // above the first lane
	spare   = 90 // right of the lanes: how long a lane took
	keyRow  = 22
	keyCell = 118
	perRow  = 9
)

// colours tell steps apart: those of a build have their own, in this order; others
// share the rest.
var colours = []struct{ step, fill string }{
	{"prepare", "#8a63d2"}, {"source", "#4c78a8"}, {"record", "#9c755f"}, {"configure", "#f2a33a"}, {"build", "#2f855a"},
	{"install", "#3aa6a0"}, {"witness", "#b5539c"}, {"inspect", "#1f77b4"}, {"verify", "#c44e52"}, {"pack", "#6b7a2a"},
}

const (
	otherFill    = "#6d7785"
	overheadFill = "url(#beside)"
)

func fill(s Span) string {
	if s.Overhead {
		return overheadFill
	}
	for _, c := range colours {
		if c.step == s.Step {
			return c.fill
		}
	}
	return otherFill
}

// WriteSVG draws the run: a lane a row, a bar a step, named when pointed at.
func (r Run) WriteSVG(w io.Writer, title string) error {
	out := bufio.NewWriter(w)
	keys := r.keys()
	rows := (len(keys) + perRow - 1) / perRow
	height := top + pitch*len(r.Lanes) + 24 + keyRow*rows
	full := labels + width + spare
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="%s">
<style>text{fill:#1d2430}.paper{fill:#fff}.grid{stroke:#d6dbe2}.soft{fill:#5b6573}
@media (prefers-color-scheme: dark){text{fill:#e6e9ee}.paper{fill:#14181f}.grid{stroke:#323a46}.soft{fill:#9aa4b2}}</style>
<defs><pattern id="beside" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#b9c0ca"/><rect width="2" height="6" fill="#8d97a5"/></pattern></defs>
<rect class="paper" width="100%%" height="100%%"/>
<text x="8" y="18" font-size="14">%s</text>
<text class="soft" x="%d" y="18" text-anchor="end">%s in all, %s inside steps, %s outside</text>
`, full, height, full, html.EscapeString(title), html.EscapeString(title), full-8, seconds(r.Wall), seconds(r.Inside), seconds(r.Outside))
	scale := width / max(r.Wall, 0.001)
	for t, step := 0.0, tick(r.Wall); t <= r.Wall; t += step {
		x := labels + t*scale
		fmt.Fprintf(out, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="soft" x="%.1f" y="%d" text-anchor="middle" font-size="10">%s</text>`+"\n",
			x, x, top-6, top+pitch*len(r.Lanes), x, top-10, seconds(t))
	}
	for i, l := range r.Lanes {
		y := top + pitch*i
		fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labels-8, y+bar-5, html.EscapeString(l.Name))
		for _, s := range l.Spans {
			fmt.Fprintf(out, `<rect x="%.2f" y="%d" width="%.2f" height="%d" fill="%s"><title>%s: %s, %s (from %s on)</title></rect>`+"\n",
				labels+s.Began*scale, y, max(s.Took*scale, 0.5), bar, fill(s), html.EscapeString(l.Name), html.EscapeString(s.Step), seconds(s.Took), seconds(s.Began))
		}
		text := seconds(l.Took)
		if l.State != "" && l.State != "built" {
			text += " " + l.State
		}
		fmt.Fprintf(out, `<text class="soft" x="%.1f" y="%d">%s</text>`+"\n", labels+(l.Began+l.Took)*scale+5, y+bar-5, html.EscapeString(text))
	}
	for i, s := range keys {
		x, y := labels+keyCell*(i%perRow), top+pitch*len(r.Lanes)+10+keyRow*(i/perRow)
		fmt.Fprintf(out, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", x, y, fill(s), x+17, y+10, html.EscapeString(s.Step))
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// keys is one span of each step, in the order of their first begin.
func (r Run) keys() []Span {
	var all []Span
	for _, l := range r.Lanes {
		for _, s := range l.Spans {
			if !slices.ContainsFunc(all, func(k Span) bool { return k.Step == s.Step }) {
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Span) int {
		switch {
		case a.Began < b.Began:
			return -1
		case a.Began > b.Began:
			return 1
		}
		return 0
	})
	return all
}

// tick is a round number of seconds that cuts the run into 4 to 10 pieces.
func tick(wall float64) float64 {
	if wall <= 0 {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(wall/4)))
	for _, m := range []float64{5, 2} {
		if wall/(base*m) >= 4 {
			return base * m
		}
	}
	return base
}

func seconds(s float64) string {
	switch {
	case s >= 600:
		return fmt.Sprintf("%.0f min", s/60)
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 1:
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.3g s", s)
}

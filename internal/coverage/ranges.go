package coverage

import (
	"strings"
	"unicode"
)

// Range is a row's spans that say the same, joined over branches.
type Range struct {
	Span
	// Drivers are its drivers in words: "450.80.02 to 545", "450 before 450.80.02".
	Drivers string
}

// Ranges joins a row's spans, oldest driver first.
func (g GPU) Ranges() []Range {
	var all []Range
	from := ""
	for _, c := range g.Cells {
		for i, s := range c.Spans {
			n := len(all) - 1
			if n < 0 || !same(all[n].Span, s) {
				all = append(all, Range{Span: s})
				n, from = n+1, s.From
			}
			all[n].Drivers = reach(from, c.end(i))
		}
	}
	return all
}

// end is where span i ends: with its branch, or before the next span.
func (c Cell) end(i int) string {
	if i+1 < len(c.Spans) {
		return c.Branch + " before " + c.Spans[i+1].From
	}
	return c.Branch
}

// reach writes a range of drivers. end is a branch, whole, or up to a driver of it.
func reach(from, end string) string {
	branch, _, _ := strings.Cut(from, ".")
	switch {
	case from == end:
		return from
	case branch == end: // it begins within its only branch
		return "from " + from
	case strings.HasPrefix(end, from+" "):
		return end
	case strings.HasPrefix(end, branch+" before "):
		return from + strings.TrimPrefix(end, branch)
	}
	return from + " to " + end
}

// same: two spans of a row would be described alike.
func same(a, b Span) bool {
	return a.State == b.State && a.Bundle == b.Bundle && a.Code == b.Code && a.Near == b.Near && a.Promised == b.Promised
}

// plain keeps what a manifest says from steering a terminal or a reader's eye:
// control and invisible formatting characters are replaced.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, s)
}

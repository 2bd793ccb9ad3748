package coverage

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// columns is what WriteText stays within.
const columns = 100

// legend explains the letters of the grid.
const legend = `N native: machine code   J jit: PTX, slow first start   - none   ? unknown   . not applicable
! hole: promised native, and it is not   n, j: only from a later driver of the branch on`

// Letter is a cell in one character.
func (c Cell) Letter() string {
	if c.Hole() {
		return "!"
	}
	letter := map[string]string{Native: "N", JIT: "J", Unknown: "?", None: "-", NA: "."}[c.Newest().State]
	if c.Split() {
		letter = strings.ToLower(letter)
	}
	return letter
}

// WriteText writes the grid for a terminal, without colour, at most 100 columns
// wide: a letter for each pair, then the drivers of each GPU in ranges.
func (g Grid) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	t := &printer{b}
	t.line("Coverage of %s", g.subject())
	for _, a := range g.Assumes {
		t.wrap("  ", "  ", a)
	}
	t.line("")
	t.letters(g)
	t.line("")
	t.branches(g)
	t.line("")
	for _, group := range g.Groups() {
		t.gpus(group)
	}
	t.leftOut(g)
	t.bundles(g)
	t.summary(g)
	return b.Flush()
}

// leftOut names the GPUs without a row, those of one reason together.
func (t *printer) leftOut(g Grid) {
	for i, l := range g.LeftOut {
		if i > 0 && g.LeftOut[i-1].Why == l.Why {
			continue
		}
		var names []string
		for _, o := range g.LeftOut {
			if o.Why == l.Why {
				names = append(names, o.Names...)
			}
		}
		t.wrap("Not in the grid: ", "  ", strings.Join(names, ", ")+": "+l.Why+".")
		t.line("")
	}
}

func (g Grid) subject() string {
	s := g.Of.String()
	if g.Of.Kind == KindRelease {
		s += fmt.Sprintf(", sequence %d, from %s", g.Of.Sequence, g.Of.Source)
	}
	return s + ", for " + g.Platform
}

// printer never fails: the bufio.Writer keeps its first error for Flush.
type printer struct{ w *bufio.Writer }

func (t *printer) line(format string, args ...any) {
	fmt.Fprintln(t.w, strings.TrimRight(plain(fmt.Sprintf(format, args...)), " "))
}

// wrap writes text in lines of at most columns, the first led by first.
func (t *printer) wrap(first, rest, text string) {
	t.fill(first, rest, strings.Fields(plain(text)))
}

// fill is wrap for words that may hold blanks.
func (t *printer) fill(first, rest string, words []string) {
	line := first
	empty := true
	for _, word := range words {
		switch {
		case empty:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns:
			t.line("%s", line)
			line = rest + word
		default:
			line += " " + word
		}
		empty = false
	}
	t.line("%s", line)
}

const labelWidth = 34

// letters writes one character for each pair, the branches' numbers on end.
func (t *printer) letters(g Grid) {
	for digit := range 3 {
		line := strings.Repeat(" ", labelWidth)
		if digit == 0 {
			line = fmt.Sprintf("%-*s", labelWidth, "driver branch")
		}
		for _, b := range g.Branches {
			line += " " + b.Branch[digit:digit+1]
		}
		t.line("%s", line)
	}
	for _, r := range g.GPUs {
		line := fmt.Sprintf("%-5s%-*s", r.CC, labelWidth-5, r.Title)
		for _, c := range r.Cells {
			line += " " + c.Letter()
		}
		t.line("%s", line)
	}
	t.line("")
	for _, l := range strings.Split(legend, "\n") {
		t.line("%s", l)
	}
}

// Groups are the rows, those together that fare alike and are promised the same.
func (g Grid) Groups() [][]GPU {
	var groups [][]GPU
	for _, r := range g.GPUs {
		i := slices.IndexFunc(groups, func(group []GPU) bool {
			return group[0].PromiseText() == r.PromiseText() && slices.EqualFunc(group[0].Ranges(), r.Ranges(), func(a, b Range) bool {
				return a.Drivers == b.Drivers && same(a.Span, b.Span) && a.Text == b.Text && slices.Equal(a.Also, b.Also)
			})
		})
		if i < 0 {
			groups = append(groups, []GPU{r})
		} else {
			groups[i] = append(groups[i], r)
		}
	}
	return groups
}

// PromiseText is what the matrix promises a row, in words.
func (g GPU) PromiseText() string {
	p := g.Promise
	if p == nil {
		return "nothing promised; judged with glibc " + orUnknown(g.Glibc)
	}
	text := "promised native from driver " + p.Driver
	if p.Until != "" {
		text += " to branch " + p.Until
	}
	text += ", glibc " + p.Glibc
	if g.Glibc != p.Glibc {
		text += "; judged with glibc " + orUnknown(g.Glibc)
	}
	return text
}

// branches says which CUDA each branch reports, and from which driver on.
func (t *printer) branches(g Grid) {
	var all []string
	for _, b := range g.Branches {
		one := b.Branch + ": " + b.CUDA
		if b.First != "" {
			one = b.Branch + ": " + b.CUDA + " (" + b.First + ")"
		}
		all = append(all, one+",")
	}
	if n := len(all); n > 0 {
		all[n-1] = strings.TrimSuffix(all[n-1], ",") + "."
	}
	t.line("Branch: the CUDA it reports (the oldest driver that NVIDIA pairs with that)")
	t.fill("  ", "  ", all)
}

func (t *printer) gpus(group []GPU) {
	for _, r := range group {
		t.line("%-5s%s (%s)", r.CC, r.Title, r.Arch)
	}
	t.line("     %s", group[0].PromiseText())
	const indent = "       "
	for _, d := range group[0].Ranges() {
		head := fmt.Sprintf("     %-33s  %s", d.Drivers, d.Label())
		switch {
		case d.State == NA:
			t.wrap(head+": ", indent, d.Text) // one line, as a rule
			continue
		case d.Bundle != "":
			head += " " + d.Bundle + ", glibc " + orUnknown(d.Glibc)
			if len(d.Also) > 0 {
				head += "; also " + strings.Join(d.Also, ", ")
			}
		case d.Near != "":
			head += "; nearest is " + d.Near
		}
		t.wrap(head[:40], indent, head[40:])
		if d.State != Native {
			t.wrap(indent, indent, reason(d.Span))
		}
	}
	t.line("")
}

// Label is a span's state, and what it is to the promise.
func (s Span) Label() string {
	switch {
	case s.Hole:
		return "HOLE (promised native): " + s.State
	case s.State == NA:
		return "not applicable"
	case s.State != Native && !s.Promised:
		return s.State + " (not promised)"
	}
	return s.State
}

// reason is why a span is what it is, code first.
func reason(s Span) string {
	text := s.Text
	switch {
	case s.CUDAError != 0:
		text = fmt.Sprintf("[%s, CUDA error %d] %s", s.Code, s.CUDAError, text)
	case s.Code != "":
		text = fmt.Sprintf("[%s] %s", s.Code, text)
	}
	return text
}

func orUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

func (t *printer) bundles(g Grid) {
	if len(g.Bundles) == 0 {
		t.line("No bundles.")
		return
	}
	t.line("%-24s %-9s %s", "BUNDLE", "TOOLKIT", "GLIBC")
	for _, b := range g.Bundles {
		toolkit := b.Toolkit
		if toolkit == "" {
			toolkit = "-"
		}
		line := fmt.Sprintf("%-24s %-9s %-6s", b.ID, toolkit, orUnknown(b.Glibc))
		if n := b.note(); n != "" {
			line += " " + n
		}
		t.line("%s", line)
	}
	t.line("")
}

// note is what is worth saying of a bundle.
func (b Bundle) note() string {
	switch {
	case b.NotCounted != "":
		return "not counted: " + b.NotCounted
	case b.Toolkit == "":
		return "no GPU code"
	case b.Serves == 0:
		return "chosen nowhere: others come before it"
	}
	return ""
}

func (t *printer) summary(g Grid) {
	n := g.Totals
	t.wrap("", "  ", fmt.Sprintf("%d pairs of GPU and driver branch: %d native, %d jit, %d none, %d unknown.", n.Native+n.JIT+n.None+n.Unknown, n.Native, n.JIT, n.None, n.Unknown))
	if rest := g.NotPromised(); len(rest) > 0 {
		t.line("Not promised, and not native:")
		for _, r := range rest {
			t.line("  %-4s %-27s %-33s  %s", r.CC, r.Title, r.Drivers, r.State)
		}
	}
	if len(g.Holes) == 0 {
		t.line("%s", g.Verdict())
		return
	}
	t.line("%s:", (&HolesError{What: g.Of.String(), Holes: g.Holes}).Title())
	for _, h := range g.Holes {
		t.wrap("! ", "  ", h.String())
		t.wrap("  close it: ", "    ", h.Close)
	}
}

// Verdict is what the grid says of the promise, in a sentence.
func (g Grid) Verdict() string {
	switch n := len(g.Holes); {
	case n == 1:
		return "The promise has 1 hole."
	case n > 1:
		return fmt.Sprintf("The promise has %d holes.", n)
	}
	for _, r := range g.GPUs {
		for _, c := range r.Cells {
			if slices.ContainsFunc(c.Spans, func(s Span) bool { return s.Promised }) {
				return "The promise has no hole."
			}
		}
	}
	return "Nothing is promised for these hosts."
}

// Gap is a range of drivers that nobody promised and no machine code serves.
type Gap struct {
	CC, Title string
	Range
}

// NotPromised are the gaps that are known and no holes: the GPU and the driver go
// together, and the matrix promises nothing there.
func (g Grid) NotPromised() []Gap {
	var all []Gap
	for _, r := range g.GPUs {
		for _, d := range r.Ranges() {
			if !d.Promised && d.State != Native && d.State != NA {
				all = append(all, Gap{r.CC, r.Title, d})
			}
		}
	}
	return all
}

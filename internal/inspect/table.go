package inspect

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/waqasm86/llcuda/bundles/facts"
)

const (
	// shownPaths is how many leaked build paths the text form lists, shownSets
	// how many combinations of targets, shownKernels how many kernels of one.
	shownPaths   = 5
	shownSets    = 6
	shownKernels = 3
	// columns is how wide lines may be: a terminal's, a notebook's, a mail's.
	columns = 80
)

// Table writes a report for people, 80 columns wide: for each file what device
// code it holds for which SM and in how many units, what it asks of its host, and
// last what is wrong with it, each with what to do about it.
func Table(w io.Writer, r facts.Report) error {
	t := &tableWriter{w: w}
	for i, f := range r.Files {
		if i > 0 {
			t.line("")
		}
		t.file(f)
	}
	return t.err
}

// tableWriter keeps the first error.
type tableWriter struct {
	w   io.Writer
	err error
}

func (t *tableWriter) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

// wrap writes text behind a label, broken at blanks. A word too long for a line,
// such as a path, is left whole.
func (t *tableWriter) wrap(label, text string) {
	line, empty := label, true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			t.line("%s", line)
			line, empty = strings.Repeat(" ", utf8.RuneCountInString(label)), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	t.line("%s", line)
}

func (t *tableWriter) file(f facts.File) {
	if f.Link != "" {
		t.line("%s -> %s", f.Path, f.Link)
		return
	}
	t.line("%s (%s)", f.Path, size(f.Size))
	if f.Device != nil {
		t.device(f.Device)
	}
	if f.ELF != nil {
		t.elf(f.ELF)
	}
	if f.Device == nil && f.ELF == nil {
		t.line("  no ELF file and no device code")
	}
	for _, p := range f.Problems {
		t.wrap("  wrong:    ", p.Text)
		if p.Cure != "" {
			t.wrap("            -> ", p.Cure)
		}
	}
}

func (t *tableWriter) device(d *facts.Device) {
	line := plural(d.Units, "unit")
	if d.Toolkit != "" {
		line += ", CUDA " + d.Toolkit
	}
	if c := d.Cudart; c != nil {
		line += ", CUDA runtime " + c.Link
		if c.Major > 0 {
			line += fmt.Sprintf(" (%d)", c.Major)
		}
	}
	t.wrap("  device code: ", line)
	t.targets(d)
	t.whose(d)
	t.units(d.List)
	for _, g := range d.Relocatable {
		t.wrap("  ", fmt.Sprintf("relocatable input, %s: %s", plural(g.Units, "container"), Images(g.Images)))
	}
	if n := d.Ignored; n != nil {
		if n.Stub > 0 {
			t.wrap("  ignored:  ", fmt.Sprintf("%s (%s)", plural(n.Stub, "device-link stub"), Images(slices.Compact(slices.Clone(n.Images)))))
		}
		if n.Relocatable > 0 {
			t.wrap("  ignored:  ", plural(n.Relocatable, "input")+" of relocatable code that is linked nowhere in this file")
		}
	}
	if d.Kernels != nil {
		t.kernels(d.Kernels)
	}
	for _, u := range d.Unknown {
		t.wrap("  unknown:  ", fmt.Sprintf("%s, in %s", u.What, plural(u.Units, "unit")))
	}
	for i, f := range d.Floors {
		label := "            "
		if i == 0 {
			label = "  runs on:  "
		}
		t.wrap(label, Floor(f))
	}
}

// Floor is one floor in words: "8.6-8.x but 8.7: machine code, driver 525.60.13
// (CUDA 12.0) or newer".
func Floor(f facts.Floor) string {
	text := "compute capability " + f.CC
	if len(f.Except) > 0 {
		text += " but " + strings.Join(f.Except, ", ")
	}
	switch f.Via {
	case facts.ViaSASS:
		text += ": machine code"
	case facts.ViaPTX:
		text += ": PTX, compiled by the driver"
	default:
		text += ": does not run"
		if l := f.Lacking; l != nil {
			text += fmt.Sprintf(", %d of %s lack an image", l.Units, plural(l.Of, "unit"))
		}
		return text
	}
	switch {
	case f.MinDriver != nil && f.MinCUDA != nil:
		text += fmt.Sprintf(", driver %s (CUDA %s) or newer", *f.MinDriver, *f.MinCUDA)
	case f.MinCUDA != nil:
		text += fmt.Sprintf(", a driver of CUDA %s or newer", *f.MinCUDA)
	case f.MinDriver != nil:
		text += fmt.Sprintf(", driver %s or newer", *f.MinDriver)
	}
	return text
}

// whose says what the units are beside the table.
func (t *tableWriter) whose(d *facts.Device) {
	linked, empty, theirs := 0, 0, 0
	for _, g := range d.Groups {
		if g.Linked {
			linked += g.Units
		} else if g.Empty {
			empty += g.Units
		}
		if g.Owner == facts.OwnerNVIDIA {
			theirs += g.Units
		}
	}
	if linked > 0 {
		t.line("  %s: linked image of relocatable code", plural(linked, "unit"))
	}
	if empty > 0 {
		t.line("  %s without a kernel or device variable", plural(empty, "unit"))
	}
	if n := d.NVIDIA; n != nil && theirs > 0 {
		how := "by the digests of their images: " + strings.Join(n.Of, ", ")
		if n.By == facts.BySoname {
			how = "by the library's name alone"
		}
		t.wrap("  NVIDIA's: ", fmt.Sprintf("%d of %s, %s", theirs, plural(d.Units, "unit"), how))
	}
}

// units lists all units by their place.
func (t *tableWriter) units(list []facts.Unit) {
	if t.err != nil || len(list) == 0 {
		return
	}
	w := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "    UNIT\tOFFSET\tBYTES\tHOLDS")
	for i, u := range list {
		what := Images(u.Images)
		if u.Empty {
			what += ", defines nothing"
		}
		fmt.Fprintf(w, "    %d\t%#x\t%d\t%s\n", i+1, u.Offset, u.Size, what)
	}
	t.err = w.Flush()
}

// targets is the table of SM × units × how.
func (t *tableWriter) targets(d *facts.Device) {
	if t.err != nil || len(d.SASS)+len(d.PTX) == 0 {
		return
	}
	w := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "    SM\tUNITS\tHOW\tPTX ISA\tCOMPRESSION")
	row := func(how string, list []facts.Target) {
		for _, s := range list {
			fmt.Fprintf(w, "    %s\t%d of %d\t%s\t%s\t%s\n", s.SM, s.Units, d.Units, how, cmp.Or(s.ISA, "-"), s.Compression)
		}
	}
	row("SASS", d.SASS)
	row("PTX", d.PTX)
	t.err = w.Flush()
}

func (t *tableWriter) elf(e *facts.ELF) {
	t.field("soname", e.Soname)
	if r := e.NVIDIA; r != nil {
		t.field("nvidia", r.Library+" "+cmp.Or(r.Version, "of an unknown version"))
	}
	t.needs(e)
	t.field("runpath", strings.Join(e.Runpath, ":"))
	t.field("glibc", withSymbol(e.Glibc, cmp.Or(e.GlibcSymbol, e.GlibcBecause)))
	t.field("glibcxx", withSymbol(e.Glibcxx, cmp.Or(demangled(e.GlibcxxSymbol), e.GlibcxxSymbol)))
	t.field("cxxabi", withSymbol(e.CXXABI, cmp.Or(demangled(e.CXXABISymbol), e.CXXABISymbol)))
	if c := e.CPU; c != nil {
		t.field("cpu", processor(c))
	}
	if n := len(e.BuildPaths); n > 0 {
		t.line("  leaked build paths (%d):", n)
		for _, p := range e.BuildPaths[:min(n, shownPaths)] {
			t.line("    %s", p)
		}
		if n > shownPaths {
			t.line("    and %d more", n-shownPaths)
		}
	}
}

func (t *tableWriter) field(name, value string) {
	if value != "" {
		t.wrap(fmt.Sprintf("  %-10s", name+":"), value)
	}
}

// providers says who brings a library, in the order of the table.
var providers = []struct{ by, text string }{{facts.ByBundle, "from this folder:"}, {facts.ByCUDA, "from the CUDA runtime:"}, {facts.ByDriver, "from the driver:"},
	{facts.ByLibc, "from glibc:"}, {facts.ByCXX, "from the C++ runtime:"}, {facts.ByNobody, "from nobody:"}}

func (t *tableWriter) needs(e *facts.ELF) {
	if len(e.Needs) != len(e.Needed) {
		t.field("needs", strings.Join(e.Needed, " "))
		return
	}
	label := "needs"
	for _, p := range providers {
		words := []string{p.text}
		for _, n := range e.Needs {
			if n.By == p.by {
				words = append(words, n.Soname)
			}
		}
		if len(words) > 1 {
			t.wrap(fmt.Sprintf("  %-10s", strings.TrimSuffix(label+":", " :")), strings.Join(words, " "))
			label = " "
		}
	}
}

// processor says what code asks of the processor.
func processor(c *facts.CPU) string {
	text := c.Level
	if len(c.Uses) > 0 {
		text += ": " + Extensions(c.Uses)
	}
	text += fmt.Sprintf("; %s with plain SSE", plural(c.Baseline, "function"))
	if len(c.Dispatch) > 0 {
		text += "; asks the processor (" + strings.Join(c.Dispatch, ", ") + ")"
	}
	return text
}

// kernels writes the targets with how many kernels each has, then what is not
// the same for all.
func (t *tableWriter) kernels(k *facts.Kernels) {
	if t.err != nil || len(k.Targets) == 0 {
		return
	}
	w := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "    TARGET\tKERNELS\tUNITS WITH KERNELS")
	for _, g := range k.Targets {
		fmt.Fprintf(w, "    %s\t%d\t%d\n", g.Name, g.Kernels, g.Units)
	}
	if t.err = w.Flush(); len(k.Sets) <= 1 && k.Differ == 0 {
		if len(k.Targets) > 1 {
			t.wrap("  kernels:  ", "the same for every target")
		}
		return
	}
	label := "  kernels:  "
	for _, s := range k.Sets[:min(len(k.Sets), shownSets)] {
		text := fmt.Sprintf("%d for %s", s.Count, strings.Join(s.In, " "))
		if len(s.Lacks) > 0 {
			text += ", and their units lack them for " + strings.Join(s.Lacks, " ")
		}
		t.wrap(label, text)
		label = "            "
		if len(s.Lacks) == 0 {
			continue
		}
		for _, n := range s.Kernels[:min(len(s.Kernels), shownKernels)] {
			t.line("              %s", shorten(cmp.Or(n.Demangled, n.Name), columns-14))
		}
	}
	if n := len(k.Sets) - shownSets; n > 0 {
		t.wrap(label, fmt.Sprintf("and %d more combinations; --json has all", n))
	}
}

// shorten cuts the middle out of what is too long for a line.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	half := (n - 3) / 2
	return string(r[:n-3-half]) + "..." + string(r[len(r)-half:])
}

func withSymbol(version, symbol string) string {
	if symbol == "" {
		return version
	}
	return version + " (because of " + symbol + ")"
}

// Images names a set of images on one line: "sm_86 SASS, compute_75 PTX (ISA
// 7.8)"; "nothing" for none.
func Images(list []facts.Image) string {
	if len(list) == 0 {
		return "nothing"
	}
	var words []string
	for _, i := range list {
		switch i.Kind {
		case facts.KindSASS:
			words = append(words, "sm_"+i.SM+" SASS")
		case facts.KindPTX:
			words = append(words, "compute_"+i.SM+" PTX (ISA "+i.ISA+")")
		default:
			words = append(words, "sm_"+i.SM+" "+i.Kind)
		}
	}
	return strings.Join(words, ", ")
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// size is for reading, in the decimal units that download pages use.
func size(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

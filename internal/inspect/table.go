package inspect

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// shownPaths is how many leaked build paths the text form lists.
const shownPaths = 5

// Table writes a report for people: for each file what device code it holds
// for which SM and in how many units, then what it asks of its host.
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
}

func (t *tableWriter) device(d *facts.Device) {
	line := fmt.Sprintf("  device code: %s", plural(d.Units, "unit"))
	if d.Toolkit != "" {
		line += ", CUDA " + d.Toolkit
	}
	if c := d.Cudart; c != nil {
		line += ", CUDA runtime " + c.Link
		if c.Major > 0 {
			line += fmt.Sprintf(" (%d)", c.Major)
		}
	}
	t.line("%s", line)
	t.targets(d)
	for _, g := range d.Groups {
		switch {
		case g.Linked:
			t.line("  %s: linked image of relocatable code", plural(g.Units, "unit"))
		case g.Empty:
			t.line("  %s without a kernel or device variable", plural(g.Units, "unit"))
		}
		for _, i := range g.Images {
			if i.Kind == facts.KindPTX && i.ISA != i.ISAHeader && i.ISAHeader != "" {
				t.line("  finding: PTX for sm_%s says ISA %s in its text and %s in its header, in %s; the driver obeys the text", i.SM, i.ISA, i.ISAHeader, plural(g.Units, "unit"))
			}
		}
	}
	for _, g := range d.Relocatable {
		t.line("  relocatable input, %s: %s", plural(g.Units, "container"), Images(g.Images))
	}
	if n := d.Ignored; n != nil {
		if n.Stub > 0 {
			t.line("  ignored: %s (%s)", plural(n.Stub, "device-link stub"), Images(n.Images))
		}
		if n.Relocatable > 0 {
			t.line("  ignored: %s of relocatable code that is linked nowhere in this file", plural(n.Relocatable, "input"))
		}
	}
	for _, u := range d.Unknown {
		t.line("  unknown: %s, in %s", u.What, plural(u.Units, "unit"))
	}
	for i, f := range d.Floors {
		label := "         "
		if i == 0 {
			label = "runs on: "
		}
		t.line("  %s %s", label, Floor(f))
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
	for _, l := range []struct{ name, value string }{
		{"soname", e.Soname},
		{"needs", strings.Join(e.Needed, " ")},
		{"runpath", strings.Join(e.Runpath, ":")},
		{"glibc", withSymbol(e.Glibc, e.GlibcSymbol)},
		{"glibcxx", e.Glibcxx},
		{"cxxabi", e.CXXABI},
		{"findings", strings.Join(e.Findings, " ")},
	} {
		if l.value != "" {
			t.line("  %-9s %s", l.name+":", l.value)
		}
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

//go:build linux && amd64

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
)

// columns is the width that text for people keeps to: a notebook cell.
const columns = 80

// writeHost prints what is known of a host, and what is not.
func writeHost(w io.Writer, h facts.Host) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", label, wrap(fmt.Sprintf(format, args...), columns-10, strings.Repeat(" ", 10)))
	}
	if h.Platform != "" {
		line("platform", "%s%s", h.Platform, joined(" · ", h.Where))
	}
	switch d := h.Driver; {
	case d != nil:
		line("driver", "%s", describeDriver(d))
	case h.Unknown["driver"] != "":
		line("driver", "unknown: %s", h.Unknown["driver"])
	default:
		line("driver", "none")
	}
	for _, g := range h.GPUs {
		line(fmt.Sprintf("gpu %d", g.Index), "%s", describeGPU(g))
	}
	if h.GPUs != nil && len(h.GPUs) == 0 {
		line("gpus", "none")
	} else if h.GPUs == nil {
		line("gpus", "unknown%s", because(h.Unknown["gpus"]))
	}
	if h.Libc != "" {
		line("glibc", "%s, libstdc++ %s", h.Libc, orUnknown(h.Glibcxx))
	}
	for _, key := range slices.Sorted(maps.Keys(h.Env)) {
		line("env", "%s=%s", key, h.Env[key])
	}
	for _, lib := range h.Libs {
		line("library", "%s %s %s", lib.Soname, lib.Version, lib.Path)
	}
	for _, key := range slices.Sorted(maps.Keys(h.Unknown)) {
		if key != "driver" && key != "gpus" {
			line("unknown", "%s: %s", key, h.Unknown[key])
		}
	}
}

func describeDriver(d *facts.Driver) string {
	text := orUnknown(d.Libcuda)
	if d.CUDA != "" {
		text += ", CUDA " + d.CUDA
	}
	if d.Kernel != "" && d.Kernel != d.Libcuda {
		text += ", kernel module " + d.Kernel
	}
	if d.Compat {
		text += ", libcuda of a forward-compatibility package"
	}
	if d.Source != "" {
		text += " (" + d.Source + ")"
	}
	return text
}

func describeGPU(g facts.GPU) string {
	text := orUnknown(g.Name)
	if g.CC != "" {
		text += ", compute capability " + g.CC
	}
	if g.Memory > 0 {
		text += ", " + cli.Size(g.Memory)
	}
	switch {
	case g.Dropped:
		text += ", not supported by this driver any more"
	case !g.Visible:
		text += ", hidden"
	}
	return text
}

// writeCandidates prints each bundle's verdict and its reasons, the chosen one
// first. Facts that are not known and that no verdict hinges on are left to --json.
func writeCandidates(w io.Writer, paint ink, choice *facts.Choice, candidates []facts.Candidate) {
	ordered := slices.Clone(candidates)
	slices.SortStableFunc(ordered, func(a, b facts.Candidate) int { return rank(choice, a) - rank(choice, b) })
	left := 0
	for _, c := range ordered {
		mark := " "
		if choice != nil && choice.Bundle == c.Bundle {
			mark = "*"
		}
		fmt.Fprintf(w, "%s %s %s\n", mark, paint.of(c.Verdict, fmt.Sprintf("%-8s", c.Verdict)), c.Bundle)
		if c.Verdict == facts.VerdictCPU && mark == " " && choice != nil {
			fmt.Fprintf(w, "           %s\n", wrap("It holds no GPU code: for machines without an NVIDIA GPU, or with --cpu.", columns-11, strings.Repeat(" ", 11)))
		}
		for _, r := range c.Reasons {
			if r.Code == facts.UnknownFact && c.Verdict != facts.VerdictUnknown {
				left++
				continue
			}
			writeReason(w, r, c.Verdict == facts.VerdictRefused)
		}
	}
	if left > 0 {
		fmt.Fprintf(w, "\n%s\n", wrap("Some facts about this host are not known; no verdict hinges on them, and --json lists them.", columns, ""))
	}
}

// writeChoice prints what will be used, and the sentence that it wants.
func writeChoice(w io.Writer, choice *facts.Choice, explanation string) {
	if choice != nil || explanation == "" {
		fmt.Fprintln(w, wrap(describeChoice(choice), columns, ""))
	}
	if explanation != "" {
		fmt.Fprintln(w, wrap(explanation, columns, ""))
	}
	fmt.Fprintln(w)
}

// writeReason prints a sentence with its code and, where asked, what to do.
func writeReason(w io.Writer, r facts.Reason, withFix bool) {
	code := fmt.Sprintf("[%s]", r.Code)
	if r.CUDAError != 0 {
		code = fmt.Sprintf("[%s, CUDA error %d]", r.Code, r.CUDAError)
	}
	words := append(strings.Fields(r.Text), code) // the code is never broken
	fmt.Fprintf(w, "           %s\n", wrapWords(words, columns-11, strings.Repeat(" ", 11)))
	if r.Fix != "" && withFix {
		fmt.Fprintf(w, "           → %s\n", wrap(r.Fix, columns-13, strings.Repeat(" ", 13)))
	}
}

func rank(choice *facts.Choice, c facts.Candidate) int {
	if choice != nil && choice.Bundle == c.Bundle {
		return -1
	}
	order := []string{facts.VerdictNative, facts.VerdictJIT, facts.VerdictCPU, facts.VerdictUnknown, facts.VerdictRefused}
	return slices.Index(order, c.Verdict)
}

// describeChoice is one sentence about what will be used.
func describeChoice(c *facts.Choice) string {
	if c == nil {
		return "no bundle fits this host"
	}
	text := map[string]string{
		facts.ViaSASS: "machine code for every visible GPU",
		facts.ViaPTX:  "through PTX: the first start compiles and is slow",
		"cpu":         "on the CPU",
	}[c.Via]
	if text == "" {
		text = c.Via
	}
	text = c.Bundle + ": " + text
	switch c.RuntimeForm {
	case "host":
		text += ", with the CUDA libraries of this host"
	case "lean":
		text += ", with the lean CUDA runtime of the release"
	case "stock":
		text += ", with NVIDIA's CUDA libraries of the release"
	}
	if c.RuntimeBecause != "" {
		text += ". " + c.RuntimeBecause
	}
	return text
}

// wrap breaks text at spaces so that no line is longer than width columns;
// further lines start with indent.
func wrap(text string, width int, indent string) string {
	words := strings.Fields(text)
	for i := 0; i+1 < len(words); i++ {
		if words[i] == "export" { // a command to type stays on one line
			words[i] += " " + words[i+1]
			words = slices.Delete(words, i+1, i+2)
		}
	}
	return wrapWords(words, width, indent)
}

// wrapWords is wrap where the breaks may be. A word that is longer than width
// has a line of its own.
func wrapWords(words []string, width int, indent string) string {
	var b strings.Builder
	used := 0
	for i, word := range words {
		n := len([]rune(word))
		switch {
		case i == 0:
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

func joined(sep string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return sep + strings.Join(list, ", ")
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

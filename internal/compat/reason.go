package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// noImage explains a part without code for a GPU.
func (t *Table) noImage(p part, o outcome, g gpu) facts.Reason {
	r := facts.Reason{Code: facts.NoKernelImage, CUDAError: 209, Part: p.kind, Units: o.lacking.Units, Of: o.lacking.Of, Sure: o.demand.sure,
		Fix: fmt.Sprintf("use a bundle with machine code for sm_%s", g.cc.SM())}
	var file *facts.File
	r.File, file = t.blame(p, g.cc, func(o outcome) bool { return o.via == facts.ViaNone })
	all := r.Units == 0
	if all && file != nil && o.plain {
		r.Units, r.Of = t.unitsWhere(file, func(facts.Group) bool { return true })
	}
	switch {
	case p.kind == bundles.PartRuntime || slices.Contains(o.because, becauseLacksSM):
		r.Code = facts.RuntimeLacksSM
		r.Fix = fmt.Sprintf("use a runtime that serves sm_%s, or a copy on the host that does", g.cc.SM())
		r.Text = fmt.Sprintf("%s has no code for compute capability %s.", subject(p, r.File), g.cc)
	case slices.ContainsFunc(o.because, func(s string) bool { return strings.HasPrefix(s, becauseBad) }):
		t.badImage(&r, o, g, subject(p, r.File))
	case slices.Contains(o.because, becauseRelocatable):
		r.CUDAError = 500
		r.Text = fmt.Sprintf("%s holds relocatable code of which not every input can be linked for compute capability %s.", subject(p, r.File), g.cc)
	default:
		r.Text = fmt.Sprintf("%s has neither machine code nor PTX that compute capability %s can run%s.", subject(p, r.File), g.cc, share(all, r.Units, r.Of))
	}
	return r
}

// badImage explains an image that the driver chooses and cannot use.
func (t *Table) badImage(r *facts.Reason, o outcome, g gpu, who string) {
	r.Code, r.Sure = facts.BadImage, "measured"
	r.Fix = "build the file anew: no released toolkit is known to make such a one"
	switch {
	case slices.Contains(o.because, becauseOtherCubin):
		r.CUDAError = 300
		r.Text = fmt.Sprintf("What %s marks as its machine code for compute capability %s was compiled for another one.", who, g.cc)
	case slices.Contains(o.because, becauseOtherText):
		r.CUDAError = 218
		r.Text = fmt.Sprintf("What %s marks as its PTX for compute capability %s was written for a newer one.", who, g.cc)
	default:
		r.CUDAError = 999
		r.Text = fmt.Sprintf("%s stores its code for compute capability %s with zlib and no byte to spare after it: driver 580.159.04 fails on that.", who, g.cc)
		r.Fix = "build it with another compression than zlib"
	}
}

func subject(p part, file string) string {
	if file != "" {
		return file
	}
	return "The " + p.kind + " part"
}

func share(all bool, units, of int) string {
	if all || units == of {
		return ""
	}
	return fmt.Sprintf(" in %d of its %d units", units, of)
}

// tooOld explains what the driver fails to meet. token is "" for a floor whose
// grounds are not known here.
func (t *Table) tooOld(p part, o outcome, token string, w demand, g gpu, h *prepared) facts.Reason {
	name, file := t.blame(p, g.cc, func(o outcome) bool { return slices.Contains(o.because, token) })
	r := facts.Reason{Code: facts.DriverTooOld, CUDAError: 35, Part: p.kind, File: name, Need: &facts.Need{CUDA: w.cuda.String(), Driver: w.driver.String()},
		Have: h.have(), Sure: weakest(w.sure, "doc"), Fix: t.driverFix(w, g)}
	who := subject(p, name)
	switch {
	case strings.HasPrefix(token, becausePTX):
		isa := strings.TrimPrefix(token, becausePTX)
		r.Code, r.CUDAError = facts.PTXISATooNew, 222
		r.Units, r.Of = t.unitsWith(file, token, g.cc)
		known := "cannot compile"
		if h.maxISA != "" {
			known = "compiles up to PTX ISA " + h.maxISA
		}
		r.Text = fmt.Sprintf("For compute capability %s %s has no machine code, only PTX of PTX ISA %s, and %s %s: its first kernel fails with \"the provided PTX was compiled with an unsupported toolchain\".",
			g.cc, who, isa, h.title(), known)
		if low, ok := t.demandOf(token); !ok && w.cuda.Compare(low.cuda) == 0 { // which CUDA knows it is not recorded
			r.Need, r.Fix = nil, fmt.Sprintf("use a bundle with machine code for sm_%s", g.cc.SM())
			break
		}
		r.Fix += fmt.Sprintf(", or use a bundle with machine code for sm_%s", g.cc.SM())
	case strings.HasPrefix(token, becauseCompression):
		r.Code, r.CUDAError = facts.CompressionTooNew, 200
		r.Units, r.Of = t.unitsWith(file, token, g.cc)
		r.Text = fmt.Sprintf("%s stores its machine code for compute capability %s compressed with %s, which %s cannot read: CUDA %s is the first that can.",
			who, g.cc, strings.TrimPrefix(token, becauseCompression), h.title(), w.cuda)
		r.Fix += ", or use a bundle stored without it"
	case strings.HasPrefix(token, becauseCudart), strings.HasPrefix(token, becauseToolkit):
		r.Text = fmt.Sprintf("%s is built on the CUDA runtime %s, which needs %s; this is %s.", who, runtimeName(token), asked(w), h.title())
	default:
		r.Text = fmt.Sprintf("%s needs %s; this is %s.", who, asked(w), h.title())
	}
	return r
}

func runtimeName(token string) string { _, v, _ := strings.Cut(token, "-"); return v }

// asked puts a demand in words.
func asked(w demand) string {
	if !w.driver.Known() {
		return fmt.Sprintf("a driver that reports CUDA %s", w.cuda)
	}
	return fmt.Sprintf("driver %s (CUDA %s) or newer", w.driver, w.cuda)
}

// driverFix says to which driver to update, if one exists that knows the GPU.
func (t *Table) driverFix(w demand, g gpu) string {
	target := w.driver.String()
	if target == "" {
		target = "one that reports CUDA " + w.cuda.String()
	}
	if last, arch, _ := t.LastBranch(g.cc); last != "" {
		if cuda, _ := t.CUDAOf(last); version(cuda).Less(w.cuda) {
			return fmt.Sprintf("no driver can help: branch %s is the last for %s", last, arch)
		}
	}
	if w.driver.Known() {
		return "update the driver to " + target + " or newer"
	}
	return "update the driver to " + target
}

// openDemand explains a verdict that hinges on what is not known.
func (t *Table) openDemand(p part, token string, w demand, g gpu, h *prepared) facts.Reason {
	r := facts.Reason{Code: facts.UnknownFact, Part: p.kind, Have: h.have(), Sure: "false"}
	r.File, _ = t.blame(p, g.cc, func(o outcome) bool { return slices.Contains(o.because, token) })
	who := subject(p, r.File)
	switch what, unknown := strings.CutPrefix(token, becauseUnknown); {
	case what == "lean" && unknown:
		r.Text = who + " holds NVIDIA's units of which some may have been pruned away, and no record says which compute capabilities they still serve."
		r.Fix = "use a bundle whose manifest records it"
	case what == "units" && unknown:
		r.Text = who + " has fat-binary wrappers that could not be followed, so some of its units were not judged."
	case unknown:
		r.Text = fmt.Sprintf("%s holds something whose meaning is not established (%s).", who, what)
	case w.below.Known():
		r.Text = fmt.Sprintf("%s stores code compressed with %s; drivers before CUDA %s were not seen to read it, nor to fail.", who, strings.TrimPrefix(token, becauseCompression), w.below)
	case !h.driver.Low.Known() && !h.driver.High.Known():
		r.Text, r.Need = fmt.Sprintf("%s needs %s, and the driver's CUDA version is not known.", who, asked(w)), &facts.Need{CUDA: w.cuda.String(), Driver: w.driver.String()}
	case strings.HasPrefix(token, becausePTX):
		r.Text = fmt.Sprintf("%s holds PTX of ISA %s, and whether %s knows that ISA is not recorded.", who, strings.TrimPrefix(token, becausePTX), h.title())
	default:
		r.Text, r.Need = fmt.Sprintf("%s needs %s; whether %s is that is not known.", who, asked(w), h.title()), &facts.Need{CUDA: w.cuda.String(), Driver: w.driver.String()}
	}
	if r.Fix == "" {
		r.Fix = "ask for unproven bundles, and let the proof on the GPU decide"
	}
	return r
}

// have is what the host's libcuda is.
func (h *prepared) have() *facts.Need {
	if h.Driver == nil {
		return nil
	}
	n := facts.Need{Driver: h.driver.Libcuda.String()}
	if h.driver.Low.Known() && h.driver.Low.Compare(h.driver.High) == 0 {
		n.CUDA = h.driver.Low.String()
	}
	return &n
}

func (h *prepared) title() string {
	n, what := h.have(), "driver"
	switch {
	case n == nil:
		return "no driver"
	case h.Driver.Compat:
		what = "the forward-compat libcuda"
	}
	switch {
	case n.Driver == "":
		return "a driver that reports CUDA " + n.CUDA
	case n.CUDA == "":
		return what + " " + n.Driver
	}
	return fmt.Sprintf("%s %s (CUDA %s)", what, n.Driver, n.CUDA)
}

// blame finds the first file of a part whose own outcome shows the trouble, and
// nothing where the manifest does not list the part's files.
func (t *Table) blame(p part, cc CC, guilty func(outcome) bool) (string, *facts.File) {
	var only *facts.File
	for i := range p.files {
		f := &p.files[i]
		if !judged(f.Device) {
			continue
		}
		if only != nil {
			return t.guilty(p, cc, guilty)
		}
		only = f
	}
	if only == nil {
		return t.guilty(p, cc, guilty) // files with floors and without groups
	}
	return only.Path, only
}

func (t *Table) guilty(p part, cc CC, guilty func(outcome) bool) (string, *facts.File) {
	for i := range p.files {
		if at := t.filesAt(p.files[i:i+1], nil); at != nil && guilty(at(cc)) {
			return p.files[i].Path, &p.files[i]
		}
	}
	return "", nil
}

// unitsWith counts a file's units whose chosen image asks for a token.
func (t *Table) unitsWith(f *facts.File, token string, cc CC) (units, of int) {
	return t.unitsWhere(f, func(g facts.Group) bool {
		o := outcome{via: facts.ViaSASS}
		t.group(&o, f.Device, g, cc)
		return slices.Contains(o.because, token)
	})
}

// unitsWhere counts the units that define something and for which a condition
// holds, and all units.
func (t *Table) unitsWhere(f *facts.File, cond func(facts.Group) bool) (units, of int) {
	if f == nil || f.Device == nil || len(f.Device.Groups) == 0 {
		return 0, 0
	}
	for _, g := range f.Device.Groups {
		if !g.Empty && cond(g) {
			units += g.Units
		}
	}
	return units, f.Device.Units
}

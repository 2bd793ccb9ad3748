package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// hostFit holds a candidate against what is not the GPU: platform, C libraries,
// processor. What the host leaves open here is listed and changes nothing.
func hostFit(v *verdict, c CandidateInput, h *prepared) {
	switch {
	case c.Platform == "":
	case h.Platform == "":
		v.note(leftOpen(h, "platform", "the bundle is for "+c.Platform))
	case h.Platform != c.Platform:
		v.refuse(facts.Reason{Code: facts.Platform, Part: bundles.PartApp, Sure: "measured", Fix: "choose a bundle for " + h.Platform,
			Text: fmt.Sprintf("The bundle is for %s and this host is %s.", c.Platform, h.Platform)})
	}
	for _, p := range []struct {
		kind string
		part *bundles.Part
	}{{bundles.PartApp, &c.App}, {bundles.PartRuntime, c.Runtime}} {
		if p.part == nil {
			continue
		}
		glibc, glibcxx := versionsOf(*p.part)
		library(v, p.kind, *p.part, glibc, h.libc, h, facts.GlibcTooOld)
		library(v, p.kind, *p.part, glibcxx, h.glibcxx, h, facts.LibstdcxxTooOld)
		cpuFit(v, p.kind, p.part.CPU, h)
	}
}

// library compares one C library's version.
func library(v *verdict, kind string, p bundles.Part, need, have Version, h *prepared, code string) {
	if !need.Known() {
		return
	}
	name, field := "glibc", "libc"
	n, g := facts.Need{Glibc: need.String()}, facts.Need{Glibc: have.String()}
	fix := "use a bundle built against an older glibc, or a newer system (a container image with glibc " + need.String() + " will do)"
	if code == facts.LibstdcxxTooOld {
		name, field = "libstdc++ (GLIBCXX)", "glibcxx"
		n, g = facts.Need{Glibcxx: need.String()}, facts.Need{Glibcxx: have.String()}
		fix = "install a newer libstdc++6, or use a bundle built with an older compiler"
	}
	switch {
	case !have.Known():
		v.note(leftOpen(h, field, fmt.Sprintf("the %s part asks for %s %s", kind, name, need)))
	case have.Less(need):
		v.refuse(facts.Reason{Code: code, Part: kind, File: asking(p.Files, need, code), Need: &n, Have: &g, Sure: "measured", Fix: fix,
			Text: fmt.Sprintf("The %s part asks for %s %s and this host has %s.", kind, name, need, have)})
	}
}

// asking names the file that sets a library floor.
func asking(files []facts.File, need Version, code string) string {
	for _, f := range files {
		if f.ELF == nil {
			continue
		}
		s := f.ELF.Glibc
		if code == facts.LibstdcxxTooOld {
			s = f.ELF.Glibcxx
		}
		if version(s).Compare(need) == 0 {
			return f.Path
		}
	}
	return ""
}

// cpuFit checks the baseline of a part. Within a part llama.cpp picks its CPU
// variant itself; only the baseline can stop it.
func cpuFit(v *verdict, kind, baseline string, h *prepared) {
	var feature string
	switch baseline {
	case "x86-64-v3":
		feature = "avx2"
	case "x86-64-v4":
		feature = "avx512f"
	default: // x86-64 and aarch64 are what every processor of the platform has
		return
	}
	switch {
	case h.CPU == nil:
		v.note(leftOpen(h, "cpu", fmt.Sprintf("the %s part asks for a processor with %s", kind, feature)))
	case !slices.Contains(h.CPU, feature):
		v.refuse(facts.Reason{Code: facts.CPUISA, Part: kind, Sure: "doc", Fix: "choose a bundle with a lower baseline",
			Text: fmt.Sprintf("The %s part is built for %s and this processor has no %s.", kind, baseline, feature)})
	}
}

// libraries checks that each library the app needs is there: in the runtime
// part or, where that is chosen, on the host.
func libraries(v *verdict, c CandidateInput, h *prepared) {
	for _, need := range c.App.Needs {
		if c.Runtime != nil && providedBy(c.Runtime.Provides, need) {
			continue
		}
		var best *facts.HostLib
		if c.UseHost || !cudaLibrary(need.Soname) {
			best = onHost(h.Libs, need.Soname)
		}
		wanted := need.Soname
		if need.Min != "" {
			wanted += " " + need.Min + " or newer"
		}
		switch {
		case best != nil && !version(best.Version).Less(version(need.Min)):
		case best != nil && best.Version == "":
			v.doubt(facts.Reason{Code: facts.UnknownFact, Part: bundles.PartApp, Need: &facts.Need{Library: wanted}, Sure: "false",
				Fix: "choose a bundle with its own runtime part", Text: fmt.Sprintf("The app needs %s, and the version of %s is not known.", wanted, best.Path)})
		case best == nil && !cudaLibrary(need.Soname) && !c.Elsewhere && slices.Contains(h.Lacks, need.Soname):
			v.refuse(facts.Reason{Code: facts.MissingLibrary, Part: bundles.PartApp, File: needing(c.App.Files, need.Soname), Need: &facts.Need{Library: wanted}, Sure: "measured",
				Fix: installCommand(need.Soname), Text: fmt.Sprintf("The app needs %s, which this host does not have.", wanted)})
		case best == nil && !cudaLibrary(need.Soname):
			v.note(facts.Reason{Code: facts.UnknownFact, Part: bundles.PartApp, Need: &facts.Need{Library: wanted}, Sure: "false",
				Fix:  "see that the loader finds it (ldconfig -p | grep " + need.Soname + "), else: " + installCommand(need.Soname),
				Text: fmt.Sprintf("The app needs %s from the system; whether it is there was not looked up.", wanted)})
		case c.UseHost && h.Unknown["libs"] != "":
			v.note(leftOpen(h, "libs", "the app needs "+wanted))
		default:
			r := facts.Reason{Code: facts.MissingLibrary, Part: bundles.PartApp, Need: &facts.Need{Library: wanted}, Sure: "measured",
				Fix: "install the CUDA runtime libraries that have " + need.Soname + ", or use a bundle with a runtime part", Text: fmt.Sprintf("The app needs %s, which neither a part of the bundle nor this host provides.", wanted)}
			if best != nil {
				r.Have = &facts.Need{Library: best.Soname + " " + best.Version}
				r.Text = fmt.Sprintf("The app needs %s and this host has %s only, at %s.", wanted, best.Version, best.Path)
			}
			if c.Elsewhere {
				r.Text = fmt.Sprintf("The file needs %s, which was not found on this host; it may lie where the file's own search path leads.", wanted)
				v.note(r)
				continue
			}
			v.refuse(r)
		}
	}
}

// needing names the file that asks for a library.
func needing(files []facts.File, soname string) string {
	for _, f := range files {
		if f.ELF != nil && slices.Contains(f.ELF.Needed, soname) {
			return f.Path
		}
	}
	return ""
}

// installCommand is how a system library comes to a host.
func installCommand(soname string) string {
	name, _, _ := strings.Cut(soname, ".so")
	switch name {
	case "libgomp":
		return "apt install libgomp1, or dnf install libgomp"
	case "libstdc++":
		return "apt install libstdc++6, or dnf install libstdc++"
	}
	return "install the system's package that has " + soname
}

func providedBy(provides []bundles.Library, need bundles.Need) bool {
	return slices.ContainsFunc(provides, func(l bundles.Library) bool {
		return l.Soname == need.Soname && (need.Min == "" || !version(l.Version).Less(version(need.Min)))
	})
}

// onHost is the newest copy of a library on the host.
func onHost(libs []facts.HostLib, soname string) *facts.HostLib {
	var best *facts.HostLib
	for i, l := range libs {
		if l.Soname == soname && (best == nil || version(best.Version).Less(version(l.Version))) {
			best = &libs[i]
		}
	}
	return best
}

// HostRuntime are the host's copies of the CUDA libraries that an app needs, the
// newest of each, ordered by SONAME: what a runtime of bundles.RuntimeHost is
// made of. What the host lacks is left out.
//
// libcublas comes before libcudart: where their folders go into one search path
// in this order, libcublas and the libcublasLt beside it stay one version.
func HostRuntime(app bundles.Part, h facts.Host) []facts.HostLib {
	var libs []facts.HostLib
	for _, n := range app.Needs {
		if !cudaLibrary(n.Soname) {
			continue
		}
		if l := onHost(h.Libs, n.Soname); l != nil {
			libs = append(libs, *l)
		}
	}
	slices.SortFunc(libs, func(a, b facts.HostLib) int { return strings.Compare(a.Soname, b.Soname) })
	return libs
}

// leftOpen is a fact of the host that is not known and, here, not needed.
func leftOpen(h *prepared, field, asks string) facts.Reason {
	why := h.Unknown[field]
	if why == "" {
		why = NotGiven
	}
	return facts.Reason{Code: facts.UnknownFact, Sure: "false", Text: fmt.Sprintf("The host's %s is not known (%s): %s.", fieldName(field), why, asks)}
}

func fieldName(field string) string {
	switch field {
	case "libc":
		return "glibc version"
	case "glibcxx":
		return "libstdc++ version"
	case "libs":
		return "list of CUDA libraries"
	case "cpu":
		return "list of processor features"
	}
	return strings.ReplaceAll(field, ".", " ")
}

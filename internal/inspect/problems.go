package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Problems lists what keeps a file from running everywhere it could, or tells
// too much of where it was made, each with what to do about it. It holds the
// file against no promise: that is package verify's.
func Problems(f facts.File) []facts.Problem {
	p := &problems{}
	if f.Device != nil {
		p.device(f.Device)
	}
	if f.ELF != nil {
		p.loading(f.ELF)
		p.leaks(f.ELF)
		p.cpu(f)
		p.nvidia(f.ELF.NVIDIA)
	}
	return p.list
}

type problems struct{ list []facts.Problem }

func (p *problems) add(code, cure, format string, args ...any) {
	p.list = append(p.list, facts.Problem{Code: code, Text: fmt.Sprintf(format, args...), Cure: cure})
}

// device judges the units that are the program's own.
func (p *problems) device(d *facts.Device) {
	var own []facts.Group
	total := 0
	for _, g := range d.Groups {
		if g.Owner == facts.OwnerMixed {
			p.add("mixed-units", "tell whoever built it", "images of NVIDIA's lie beside others in %s", plural(g.Units, "unit"))
		}
		if !g.Empty && g.Owner != facts.OwnerNVIDIA {
			own = append(own, g)
			total += g.Units
		}
	}
	p.lacking(own, total)
	p.ptxOnly(own, total)
	p.ptxAlone(own, total)
	p.compressed(own)
	for _, g := range own {
		for _, i := range g.Images {
			if i.Kind == facts.KindPTX && i.ISAHeader != "" && i.ISA != i.ISAHeader {
				p.add("ptx-isa", "nothing; the driver obeys the text", "PTX for sm_%s says ISA %s in its text and %s in its header, in %s",
					i.SM, i.ISA, i.ISAHeader, plural(g.Units, "unit"))
			}
		}
	}
	if k := d.Kernels; k != nil && k.Differ > 0 && total > 0 {
		p.add("kernels-differ", "look for __CUDA_ARCH__ around the kernels; --json has all names", "%s missing for some SM that their unit has images for", are(k.Differ, "kernel"))
	}
}

// lacking names for each SM the units without machine code for it.
func (p *problems) lacking(own []facts.Group, total int) {
	var sms []string
	for _, g := range own {
		for _, i := range g.Images {
			if i.Kind == facts.KindSASS && !slices.Contains(sms, i.SM) {
				sms = append(sms, i.SM)
			}
		}
	}
	slices.SortFunc(sms, compareSM)
	for _, sm := range sms {
		n, instead := 0, ""
		for _, g := range own {
			if !slices.ContainsFunc(g.Images, func(i facts.Image) bool { return i.Kind == facts.KindSASS && i.SM == sm }) {
				n += g.Units
				if instead == "" {
					instead = Images(g.Images)
				}
			}
		}
		if n > 0 {
			p.add("units-disagree", "build all .cu files with one CMAKE_CUDA_ARCHITECTURES", "%d of %s have no machine code for sm_%s; they hold %s",
				n, plural(total, "unit"), sm, instead)
		}
	}
}

// ptxAlone names targets for whose GPUs there is PTX and no machine code, though
// there is some for newer ones: what asks the compiler for 75-virtual and 86-real
// makes, and what broke on T4s. PTX beyond all machine code is for GPUs to come.
func (p *problems) ptxAlone(own []facts.Group, total int) {
	units, isa := map[string]int{}, ""
	for _, g := range own {
		var sass []string
		for _, i := range g.Images {
			if i.Kind == facts.KindSASS {
				sass = append(sass, i.SM)
			}
		}
		seen := map[string]bool{}
		for _, i := range g.Images {
			if i.Kind != facts.KindPTX || !slices.ContainsFunc(sass, func(s string) bool { return compareSM(s, i.SM) > 0 }) || seen[i.SM] || slices.ContainsFunc(sass, func(s string) bool { return runsOn(s, i.SM) }) {
				continue
			}
			seen[i.SM] = true
			units[i.SM] += g.Units
			if Newer(i.ISA, isa) {
				isa = i.ISA
			}
		}
	}
	if len(units) == 0 {
		return
	}
	most := 0
	var sms, want []string
	for sm, n := range units {
		sms, most = append(sms, sm), max(most, n)
	}
	slices.SortFunc(sms, compareSM)
	for i, sm := range sms {
		want, sms[i] = append(want, sm+"-real"), "sm_"+sm
	}
	p.add("ptx-alone", "add "+strings.Join(want, ";")+" to CMAKE_CUDA_ARCHITECTURES", "for %s there is PTX and no machine code (up to ISA %s, in %d of %s): on such GPUs the driver must be new enough to compile it, and the first start is slow",
		strings.Join(sms, ", "), isa, most, plural(total, "unit"))
}

// tegra are the SMs of Tegra chips: machine code goes to none of them from another,
// and from none to another. A test holds them to package compat's data, which has
// their sources and says how sure they are.
var tegra = []string{"32", "53", "62", "72", "87", "88", "101", "110"}

// runsOn says whether machine code for a target runs on GPUs of another: the same
// major and not newer, which is what suffix f asks for too; with suffix a, and
// among Tegra chips, on none but its own.
func runsOn(sass, target string) bool {
	a, b := strings.TrimRight(sass, "af"), strings.TrimRight(target, "af")
	if a == b {
		return true
	}
	if strings.HasSuffix(sass, "a") || slices.Contains(tegra, a) || slices.Contains(tegra, b) || len(a) < 2 || len(a) != len(b) {
		return false
	}
	return a[:len(a)-1] == b[:len(b)-1] && a < b
}

// ptxOnly names units that every GPU has to compile.
func (p *problems) ptxOnly(own []facts.Group, total int) {
	n, isa := 0, ""
	for _, g := range own {
		if !slices.ContainsFunc(g.Images, func(i facts.Image) bool { return i.Kind == facts.KindSASS }) && len(g.Images) > 0 {
			n += g.Units
			for _, i := range g.Images {
				if Newer(i.ISA, isa) {
					isa = i.ISA
				}
			}
		}
	}
	if n > 0 {
		p.add("ptx-only", "build with NN-real for each GPU among CMAKE_CUDA_ARCHITECTURES", "%d of %s hold PTX only (up to ISA %s): each driver must be new enough to compile it, and the first start is slow",
			n, plural(total, "unit"), isa)
	}
}

// compressed names machine code that old drivers do not unpack.
func (p *problems) compressed(own []facts.Group) {
	units := map[string]int{}
	for _, g := range own {
		seen := map[string]bool{}
		for _, i := range g.Images {
			if i.Kind == facts.KindSASS && !seen[i.Compression] {
				seen[i.Compression] = true
				units[i.Compression] += g.Units
			}
		}
	}
	if n := units[compressZstd]; n > 0 {
		p.add("compressed", "build with GGML_CUDA_COMPRESSION_MODE=none, or nvcc --compress-mode=speed", "machine code in %s is packed with zstd: drivers before 550.54.14 (CUDA 12.4) fail", plural(n, "unit"))
	}
	for _, c := range []string{compressZlib, compressLZ4Frame} {
		if n := units[c]; n > 0 {
			p.add("compressed", "build without compression", "machine code in %s is packed with %s: which drivers unpack it is not known", plural(n, "unit"), c)
		}
	}
}

// loading judges what the dynamic linker does with the file.
func (p *problems) loading(e *facts.ELF) {
	for _, n := range e.Needs {
		switch {
		case n.By == facts.ByNobody:
			p.add("missing-library", "ship it beside the file with RUNPATH $ORIGIN, or build without it", "it needs %s, which no file here, nor glibc, the driver or CUDA brings", n.Soname)
		case n.Unreached:
			p.add("runpath", "link with -Wl,-rpath,$ORIGIN (and install it under its SONAME)", "it needs %s; %s is here, but its search path does not find it", n.Soname, n.File)
		}
	}
	for _, r := range e.Runpath {
		switch {
		case r == "":
			p.add("runpath", "set the RUNPATH to $ORIGIN", "an empty element in its RUNPATH stands for the working directory")
		case !strings.HasPrefix(r, "$ORIGIN") && !strings.HasPrefix(r, "${ORIGIN}"):
			p.add("runpath", "set the RUNPATH to $ORIGIN", "its RUNPATH names %s, a folder of one machine", r)
		}
	}
	for _, finding := range e.Findings {
		switch finding {
		case findRpath:
			p.add("rpath", "link with -Wl,--enable-new-dtags", "it has RPATH, which LD_LIBRARY_PATH cannot override")
		case findTextrel:
			p.add("textrel", "build with -fPIC", "it has relocations in its code, which hardened hosts refuse")
		case findExecstack:
			p.add("execstack", "link with -z noexecstack", "it demands an executable stack, which hardened hosts refuse")
		case findNoSections:
			p.add("no-sections", "do not strip section headers", "it has no section headers: device code in it was not looked for")
		case findDebugInfo, findDebugLink, findSymtab:
		default:
			p.add("private-symbols", "build against public functions", "it uses %s, which another glibc need not have", strings.ToUpper(finding))
		}
	}
	if e.GlibcBecause == becauseRelr {
		p.add("relr", "link with -Wl,-z,nopack-relative-relocs", "only packed relocations (DT_RELR) make it need glibc %s", e.Glibc)
	}
}

// leaks judges what the file tells of where it was made.
func (p *problems) leaks(e *facts.ELF) {
	if n := len(e.BuildPaths); n > 0 {
		p.add("build-path", "compile with -ffile-prefix-map=DIR=., for nvcc after -Xcompiler", "%s of the build machine leaked into it, such as %s", plural(n, "path"), e.BuildPaths[0])
	}
	if len(e.Users) > 0 {
		p.add("user-name", "build in a container, or as a user without a name", "it names who built it: %s", strings.Join(e.Users, ", "))
	}
	var left []string
	for _, d := range []struct{ finding, name string }{{findDebugInfo, ".debug_*"}, {findSymtab, ".symtab"}, {findDebugLink, ".gnu_debuglink"}} {
		if slices.Contains(e.Findings, d.finding) {
			left = append(left, d.name)
		}
	}
	if len(left) > 0 {
		p.add("debug-data", "strip --strip-unneeded", "data for debuggers was left in it (%s)", strings.Join(left, ", "))
	}
}

// cpu judges which processors the code runs on, where it was decoded.
func (p *problems) cpu(f facts.File) {
	uses, variant, dispatched := BeyondBaseline(f)
	switch {
	case len(uses) == 0 || dispatched:
	case variant != "":
		p.add("cpu", "build it with ggml's own options for that variant", "it uses %s, which the variant %s has not", Extensions(uses), variant)
	default:
		p.add("cpu", "build with GGML_NATIVE=OFF and without -march", "it needs %s: %s, with no sign that it asks the processor first", f.ELF.CPU.Level, Extensions(uses))
	}
}

// Extensions names extensions and how many functions use each.
func Extensions(uses []facts.CPUUse) string {
	var words []string
	for _, u := range uses {
		words = append(words, fmt.Sprintf("%s in %s", u.ISA, plural(u.Functions, "function")))
	}
	return strings.Join(words, ", ")
}

func (p *problems) nvidia(r *facts.Redistributable) {
	if r != nil && r.Name != "" && r.Content != "" && !agree(r.Name, r.Content) {
		p.add("nvidia-version", "fetch the library from NVIDIA again", "its name says version %s, the file itself %s", r.Name, r.Content)
	}
}

func are(n int, word string) string {
	if n == 1 {
		return "1 " + word + " is"
	}
	return plural(n, word) + " are"
}

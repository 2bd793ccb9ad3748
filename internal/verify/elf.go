package verify

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// runtimeLibraries are the CUDA libraries that a runtime part or the host
// provides, with the toolkit's major version.
var runtimeLibraries = []string{"libcudart.so", "libcublas.so", "libcublasLt.so"}

// origin is the only search path that finds a bundle's own libraries wherever
// the bundle is unpacked, and nothing else.
const origin = "$ORIGIN"

// elf holds what a file asks of its host against what the bundle and the
// promise bring.
func (c *check) elf(f facts.File) {
	if inspect.IsNVIDIA(soname(f)) {
		return // not ours to change
	}
	inside := false
	for _, n := range facts.NeedsOf(f, c.around) {
		switch {
		case n.By == facts.ByBundle:
			inside = true
			if path.Base(n.File) != n.Soname {
				c.miss(LibraryMissing, f.Path, "", fmt.Sprintf("it needs %s, and %s has only the SONAME: the loader looks for a file of that name", n.Soname, n.File), "install the library under its SONAME")
			}
		case n.By == facts.ByLibc || n.By == facts.ByCXX:
		case c.cell.Toolkit != "" && (n.By == facts.ByDriver || c.isRuntime(n.Soname)):
		default:
			c.miss(LibraryMissing, f.Path, "", fmt.Sprintf("it needs %s, which neither the bundle nor %s brings", n.Soname, c.elsewhere()), libraryFix(n.Soname))
		}
	}
	c.runpath(f, inside)
	c.floors(f)
	for _, finding := range f.ELF.Findings {
		switch finding {
		case "execstack":
			c.miss(ExecStack, f.Path, "", "it demands an executable stack, which hardened hosts refuse", "link with -z noexecstack")
		case "textrel":
			c.miss(TextRel, f.Path, "", "it has relocations in its code (TEXTREL)", "build with -fPIC")
		}
	}
	c.leftovers(f)
	c.processor(f)
	if n := len(f.ELF.BuildPaths); n > 0 {
		c.miss(BuildPathLeaked, f.Path, "", fmt.Sprintf("%d paths of the build machine leaked into it, such as %s", n, f.ELF.BuildPaths[0]),
			"compile with -ffile-prefix-map, for nvcc after -Xcompiler")
	}
}

// leftovers holds that nothing of the build but the program is in a file. Names
// that only stand in leaked paths are those paths' miss.
func (c *check) leftovers(f facts.File) {
	var people []string
	for _, u := range f.ELF.Users {
		if strings.Contains(u, "@") {
			people = append(people, u)
		}
	}
	if len(people) > 0 {
		c.miss(UserNamed, f.Path, "", "it names who built it: "+strings.Join(people, ", "), "build in the container of the cell, or set the tool's own user and host")
	}
	var left []string
	for _, finding := range f.ELF.Findings {
		if finding == "debug-info" || finding == "debug-link" || finding == "symtab" {
			left = append(left, finding)
		}
	}
	if len(left) > 0 {
		c.miss(DebugData, f.Path, "", "data for debuggers was left in it ("+strings.Join(left, ", ")+")", "strip it: the plan's install step does")
	}
}

// processor holds that every file runs on any x86-64 processor, but llama.cpp's
// variants for single ones, which may use what their name says. A file that holds
// more and asks the processor first is let through, by the signs that
// inspect.BeyondBaseline wants; a variant's name is a promise and is not.
func (c *check) processor(f facts.File) {
	uses, variant, dispatched := inspect.BeyondBaseline(f)
	switch {
	case len(uses) == 0:
	case variant != "":
		c.miss(CPUBaseline, f.Path, "", fmt.Sprintf("it uses %s, which llama.cpp's variant %s is not built for", inspect.Extensions(uses), variant), "look which options ggml got for that variant")
	case !dispatched:
		c.miss(CPUBaseline, f.Path, "", fmt.Sprintf("its code needs %s, the promise is x86-64: %s", f.ELF.CPU.Level, inspect.Extensions(uses)), "build with GGML_NATIVE=OFF and without -march or -mavx in CFLAGS")
	}
}

func (c *check) elsewhere() string {
	if c.cell.Toolkit == "" {
		return "libc"
	}
	return "libc, the driver or CUDA " + c.cell.Toolkit
}

// isRuntime says whether name is a CUDA library of the cell's own major
// version. libcudart of CUDA 11 is the only one with a minor version.
func (c *check) isRuntime(name string) bool {
	major, _, _ := strings.Cut(c.cell.Toolkit, ".")
	for _, lib := range runtimeLibraries {
		if name == lib+"."+major || major == "11" && lib == "libcudart.so" && name == lib+".11.0" {
			return true
		}
	}
	return false
}

func libraryFix(name string) string {
	switch {
	case strings.HasPrefix(name, "libgomp."):
		return "build with GGML_OPENMP=OFF, or ship the library"
	case strings.HasPrefix(name, "libssl.") || strings.HasPrefix(name, "libcrypto."):
		return "build with LLAMA_OPENSSL=OFF"
	case strings.HasPrefix(name, "libnccl."):
		return "build with GGML_CUDA_NCCL=OFF"
	case strings.HasPrefix(name, "libcurl"):
		return "build with LLAMA_CURL=OFF"
	case inspect.IsNVIDIA(name):
		return "build in the image of the cell's own toolkit"
	}
	return "ship the library, or build without it"
}

// runpath holds that libraries of the bundle are found beside the file, and
// that nothing is looked for anywhere else.
func (c *check) runpath(f facts.File, inside bool) {
	got := f.ELF.Runpath
	const fix = "set INSTALL_RPATH or CMAKE_BUILD_RPATH to $ORIGIN, with BUILD_WITH_INSTALL_RPATH"
	if slices.Contains(f.ELF.Findings, "rpath") {
		c.miss(RunpathWrong, f.Path, "", "it has RPATH, which overrides the user's LD_LIBRARY_PATH, instead of RUNPATH", "link with -Wl,--enable-new-dtags")
	}
	switch {
	case len(got) == 0 && inside:
		c.miss(RunpathWrong, f.Path, "", "it needs libraries of the bundle and has no RUNPATH to find them", fix)
	case len(got) == 0 || len(got) == 1 && got[0] == origin:
	case slices.Contains(got, ""):
		c.miss(RunpathWrong, f.Path, "", fmt.Sprintf("its RUNPATH %q has an empty element, which means the working directory", strings.Join(got, ":")), fix)
	default:
		c.miss(RunpathWrong, f.Path, "", fmt.Sprintf("its RUNPATH is %q instead of %q", strings.Join(got, ":"), origin), fix)
	}
}

// floors holds what the file requires of libc and libstdc++.
func (c *check) floors(f facts.File) {
	e := f.ELF
	if limit := c.options.MaxGlibc; limit != "" && inspect.Newer(e.Glibc, limit) {
		because := ""
		if e.GlibcSymbol != "" {
			because = " because of " + strconv.Quote(e.GlibcSymbol)
		}
		c.miss(GlibcTooNew, f.Path, "", fmt.Sprintf("it needs glibc %s%s, the promise is %s", e.Glibc, because, limit), "build in an image with an older glibc")
	}
	if limit := c.options.MaxGlibcxx; limit != "" && inspect.Newer(e.Glibcxx, limit) {
		c.miss(LibstdcxxTooNew, f.Path, "", fmt.Sprintf("it needs GLIBCXX_%s, the promise is %s", e.Glibcxx, limit), "build with an older compiler, or link with -static-libstdc++")
	}
}

package inspect

import (
	slashpath "path"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// cpuVariants are llama.cpp's backends for single processors, with what
// ggml/src/CMakeLists.txt of v0.5.0 (de3ff81) has them compiled for.
var cpuVariants = func() map[string][]isa {
	sse42 := []isa{isaSSE3, isaSSSE3, isaSSE41, isaSSE42, isaPopcnt}
	with := func(base []isa, more ...isa) []isa { return append(slices.Clone(base), more...) }
	sandybridge := with(sse42, isaAVX)
	ivybridge := with(sandybridge, isaF16C)
	piledriver := with(ivybridge, isaFMA)
	haswell := with(piledriver, isaAVX2, isaBMI2)
	skylakex := with(haswell, isaAVX512)
	cannonlake := with(skylakex, isaAVX512VBMI)
	cascadelake := with(skylakex, isaAVX512VNNI)
	icelake := with(cannonlake, isaAVX512VNNI)
	zen4 := with(icelake, isaAVX512BF16)
	return map[string][]isa{"x64": nil, "sse42": sse42, "sandybridge": sandybridge, "ivybridge": ivybridge, "piledriver": piledriver, "haswell": haswell,
		"skylakex": skylakex, "cannonlake": cannonlake, "cascadelake": cascadelake, "icelake": icelake, "cooperlake": with(cascadelake, isaAVX512BF16),
		"zen4": zen4, "alderlake": with(haswell, isaAVXVNNI), "sapphirerapids": with(zen4, isaAMX)}
}()

// cpuVariant is what libggml-cpu-NAME.so may use, and NAME; "" for other files.
func cpuVariant(file string) ([]isa, string) {
	name, ok := strings.CutPrefix(slashpath.Base(file), "libggml-cpu-")
	name, isLibrary := strings.CutSuffix(name, ".so")
	allowed, known := cpuVariants[name]
	if !ok || !isLibrary || !known {
		return nil, ""
	}
	return allowed, name
}

// BaselineShare is how many functions with plain SSE there must be to each one
// beyond the baseline for signs of dispatch to be believed.
const BaselineShare = 2

// BeyondBaseline lists the extensions in a file that its place in a bundle does
// not allow: any for most files, for a CPU variant of llama.cpp those it was not
// built for. variant is that variant, or "".
//
// Holding an instruction is not executing it: glibc, OpenSSL and cuBLAS ask the
// processor first. dispatched says that this is such a file, by two signs
// together. It asks (CPUID, an ifunc, __cpu_model), and functions with plain SSE
// are at least BaselineShare times as many as those with more. The first alone
// is no sign: libllama-common asks too, and has nothing to choose. The second is one,
// because a compiler that may use AVX uses it for all floating point: of
// llama.cpp's haswell variant 2 functions have plain SSE and 389 have more, of the
// sse42 variant 142 and 132; of libcrypto 697 and 126, of glibc 525 and 125, of
// cuBLASLt 12.4 21,379 and 157. OpenBLAS with all its kernels (8,657 and 7,754)
// is not believed.
func BeyondBaseline(f facts.File) (uses []facts.CPUUse, variant string, dispatched bool) {
	if f.ELF == nil || f.ELF.CPU == nil {
		return nil, "", false
	}
	c := f.ELF.CPU
	allowed, variant := cpuVariant(f.Path)
	for _, u := range c.Uses {
		if !slices.ContainsFunc(allowed, func(a isa) bool { return isaNames[a] == u.ISA }) {
			uses = append(uses, u)
		}
	}
	return uses, variant, len(c.Dispatch) > 0 && c.Baseline >= BaselineShare*c.Beyond
}

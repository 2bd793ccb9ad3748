package main

import (
	"fmt"
	"strings"
)

// recipe is one program, by toolkit. Units, separated by spaces, are KIND:IMAGES, where
// KIND is k (a kernel), v (a device variable), c (a constant), n (nothing), r
// (relocatable: a kernel that calls what another unit defines), h (that unit) or k
// with + for relocatable (k+); and IMAGES are sNN for machine code and pNN for PTX.
type recipe struct {
	on      string // toolkits: a = 11.8, b = 12.4, c = 13.0
	name    string
	units   string
	options string // of nvcc and of the link, see options in make.go
	patches string // of the finished file, see patch.go
	env     string // what the program is judged and started with
}

// letters name toolkits in the table.
var letters = map[string]string{"11.8": "a", "12.4": "b", "13.0": "c"}

// table is every program.
func table() []recipe {
	var all []recipe
	add := func(on, name, units, options, patches string) {
		all = append(all, recipe{on: on, name: name, units: units, options: options, patches: patches})
	}
	// Machine code alone, and PTX alone, for every target.
	targets := map[string]string{
		"a": "50 70 75 80 86 87 89 90",
		"b": "50 61 75 80 86 87 89 90 90a",
		"c": "75 80 86 87 88 89 90 90a 100 100a 100f 103 103a 103f 110 110a 110f 120 120a 120f 121 121a 121f",
	}
	for _, on := range []string{"a", "b", "c"} {
		for _, sm := range strings.Fields(targets[on]) {
			add(on, "sass-"+sm, "k:s"+sm, "", "")
			add(on, "ptx-"+sm, "k:p"+sm, "", "")
		}
	}
	add("a", "sass-35", "k:s35", "", "")
	add("a", "ptx-35", "k:p35", "", "")

	// PTX of other ISAs than the toolkit's: the text's .version is changed.
	for on, list := range map[string]string{"a": "8.0 8.4 9.0 9.1", "b": "8.5 8.6 8.7 8.8 9.0 9.1 9.2 9.9", "c": "9.1 9.5"} {
		for _, isa := range strings.Fields(list) {
			add(on, "ptx-75-isa-"+isa, "k:p75", "plain", "p75 text "+isa)
		}
	}
	add("c", "ptx-90-isa-8.0", "k:p90", "plain", "p90 text 8.0")
	add("bc", "ptx-90a-isa-9.9", "k:p90a", "plain", "p90a text 9.9")
	add("c", "ptx-100-isa-9.9", "k:p100", "plain", "p100 text 9.9") // above the device and too new: which?

	// Several images in a unit.
	for _, r := range [][3]string{
		{"sass-ptx-90", "k:s90,p90", ""}, {"sass-ptx-75", "k:s75,p75", ""}, {"sass-ptx-80", "k:s80,p80", ""}, {"sass-80-86-89", "k:s80,s86,s89", ""},
		{"sass-80-90", "k:s80,s90", ""}, {"sass-86-ptx-75-80", "k:s86,p75,p80", ""}, {"ptx-75-80-86", "k:p75,p80,p86", ""},
		{"sass-90-bad-ptx-90", "k:s90,p90", "p90 text 9.9"}, {"sass-90-bad-ptx-75", "k:s90,p75", "p75 text 9.9"}, {"sass-75-bad-ptx-75", "k:s75,p75", "p75 text 9.9"},
		{"ptx-75-bad-ptx-90", "k:p75,p90", "p90 text 9.9"}, {"bad-ptx-75-ptx-90", "k:p75,p90", "p75 text 9.9"}, {"sass-80-bad-ptx-80-ptx-75", "k:s80,p80,p75", "p80 text 9.9"},
		{"two-isas-same-target", "k:p75,p80", "p80 header-sm 75;p80 target 75;p80 text 9.9"},
		{"two-isas-same-target-reversed", "k:p75,p80", "p75 header-sm 80;p75 target 80;p75 text 9.9"},
		{"llama-default", "k:p50,p61,p70,p75,p80,s86,s89,p90", ""}, {"llama-default-13", "k:p75,p80,s86,s89,p90", ""}} {
		on, options := "ab", ""
		if !strings.Contains(r[1], "50") {
			on += "c"
		}
		if r[2] != "" {
			options = "plain"
		}
		add(on, r[0], r[1], options, r[2])
	}
	add("bc", "sass-90a-ptx-90", "k:s90a,p90", "", "")
	add("bc", "sass-90a-90", "k:s90a,s90", "", "")
	add("bc", "ptx-90a-ptx-80", "k:p90a,p80", "", "")
	add("bc", "ptx-90a-bad-ptx-90", "k:p90a,p90", "plain", "p90 text 9.9")
	add("bc", "bad-ptx-90a-ptx-90", "k:p90a,p90", "plain", "p90a text 9.9")
	add("c", "sass-100-ptx-90", "k:s100,p90", "", "")
	add("c", "sass-100a-120a-ptx-75", "k:s100a,s120a,p75", "", "")
	add("c", "sass-100f-ptx-80", "k:s100f,p80", "", "")
	add("c", "ptx-75-ptx-100", "k:p75,p100", "", "")
	add("c", "ptx-90-ptx-100f-ptx-120", "k:p90,p100f,p120", "", "")
	add("c", "sass-120-ptx-120", "k:s120,p120", "", "")
	add("c", "llama-default-13-blackwell", "k:p75,p80,s86,s89,p90,s120a,s121a", "", "")

	// Compression, of what is taken, of what is not, and of what cannot run.
	for _, r := range [][2]string{{"sass-90", "k:s90"}, {"ptx-80", "k:p80"}, {"sass-ptx-90", "k:s90,p90"}, {"sass-75", "k:s75"}} {
		add("ab", r[0]+"-plain", r[1], "plain", "")
		add("ab", r[0]+"-lz4", r[1], "lz4", "")
		add("ab", r[0]+"-zlib", r[1], "zlib", "")
		add("ab", r[0]+"-lz4-frame", r[1], "lz4-frame", "")
		add("b", r[0]+"-zstd", r[1], "zstd", "")
		for _, mode := range []string{"none", "size", "speed", "balance"} {
			add("c", r[0]+"-"+mode, r[1], mode, "")
		}
	}

	// zlib streams of many lengths: about one in eight ends with the last byte of its entry.
	for _, sm := range strings.Fields("50 61 70 75 86 87 89 90") {
		add("ab", "ptx-"+sm+"-zlib", "k:p"+sm, "zlib", "")
	}
	for _, r := range [][2]string{{"variables-90-zlib", "v:s90"}, {"constants-90-zlib", "c:s90"}, {"variables-ptx-80-zlib", "v:p80"}, {"rdc-alone-90-zlib", "k+:s90"}} {
		add("ab", r[0], r[1], "zlib", "")
	}

	// Units that disagree.
	for _, r := range [][3]string{
		{"units-90-75", "k:s90 k:s75", ""}, {"units-75-90", "k:s75 k:s90", ""}, {"units-ptx-80-75", "k:p80 k:s75", ""}, {"units-90-ptx-80", "k:s90 k:p80", ""},
		{"units-90-bad-ptx", "k:s90 k:p90", "p90 text 9.9"}, {"units-bad-ptx-75", "k:p90 k:s75", "p90 text 9.9"}, {"units-75-bad-ptx", "k:s75 k:p90", "p90 text 9.9"},
		{"units-90-80-75", "k:s90 k:p80 k:s75", ""}, {"units-all-90", "k:s90 k:s90 k:s90", ""}, {"units-90-nothing-75", "k:s90 n:s75", ""},
		{"units-75-nothing-90", "k:s75 n:s90", ""}, {"units-nothing-75", "n:s75", ""}, {"units-nothing-bad-ptx", "k:s90 n:p90", "p90 text 9.9"},
		{"variables-90", "v:s90", ""}, {"variables-75", "v:s75", ""}, {"variables-ptx-80", "v:p80", ""}, {"variables-bad-ptx", "v:p90", "p90 text 9.9"},
		{"constants-90", "c:s90", ""}, {"constants-75", "c:s75", ""}, {"kernel-90-variables-75", "k:s90 v:s75", ""}, {"kernel-90-variables-ptx", "k:s90 v:p75", ""},
		{"kernel-75-variables-90", "k:s75 v:s90", ""}} {
		options := ""
		if r[2] != "" {
			options = "plain"
		}
		add("abc", r[0], r[1], options, r[2])
	}

	// Relocatable code.
	for _, r := range [][3]string{
		{"rdc-90", "r:s90 h:s90", ""}, {"rdc-75", "r:s75 h:s75", ""}, {"rdc-80", "r:s80 h:s80", ""}, {"rdc-ptx-80", "r:p80 h:p80", ""}, {"rdc-ptx-90", "r:p90 h:p90", ""},
		{"rdc-90-ptx-90", "r:s90,p90 h:s90,p90", ""}, {"rdc-75-ptx-75", "r:s75,p75 h:s75,p75", ""}, {"rdc-80-90", "r:s80,s90 h:s80,s90", ""},
		{"rdc-bad-ptx", "r:p80 h:p80", "p80 text 9.9"}, {"rdc-75-bad-ptx", "r:s75,p75 h:s75,p75", "p75 text 9.9"}, {"rdc-90-bad-ptx", "r:s90,p90 h:s90,p90", "p90 text 9.9"},
		{"rdc-alone-90", "k+:s90", ""}, {"rdc-alone-ptx-80", "k+:p80", ""}, {"rdc-alone-75", "k+:s75", ""},
		{"rdc-90-and-plain-75", "r:s90 h:s90 k:s75", ""}, {"rdc-ptx-80-and-plain-90", "r:p80 h:p80 k:s90", ""}, {"rdc-75-and-plain-90", "r:s75 h:s75 k:s90", ""},
		{"rdc-two-kernels-90", "r:s90 h:s90 k+:s90", ""}, {"rdc-two-kernels-ptx", "r:p75 h:p75 k+:p75", ""}} {
		options := ""
		if r[2] != "" {
			options = "plain"
		}
		add("abc", r[0], r[1], options, r[2])
	}
	// nvlink 13.0.88 cannot make PTX alone for three digits: "specified arch exceeds buffer length".
	add("c", "rdc-100", "r:s100 h:s100", "", "")
	add("c", "rdc-lto-90", "r:l90 h:l90", "lto", "")
	add("bc", "rdc-90-size", "r:s90 h:s90", "packed", "")
	add("bc", "rdc-ptx-80-size", "r:p80 h:p80", "packed", "")

	// What the device linker leaves, and who linked.
	for _, r := range [][3]string{{"stub-90-kernel-75", "k:s75", "stub=90"}, {"stub-75-kernel-90", "k:s90", "stub=75"}, {"stub-90-kernel-ptx-80", "k:p80", "stub=90"},
		{"no-stub-90", "k:s90", "gcc"}, {"no-stub-75", "k:s75", "gcc"}, {"no-stub-ptx-75", "k:p75", "gcc"}} {
		add("abc", r[0], r[1], r[2], "")
	}

	// Shared objects, and the runtime as a library.
	for _, r := range [][2]string{{"90", "k:s90"}, {"ptx-80", "k:p80"}, {"75", "k:s75"}, {"90-75", "k:s90 k:s75"}} {
		add("abc", "so-"+r[0], r[1], "so", "")
		add("abc", "so-cudart-shared-"+r[0], r[1], "so shared", "")
		add("abc", "cudart-shared-"+r[0], r[1], "shared", "")
	}
	add("abc", "so-rdc-90", "r:s90 h:s90", "so", "")
	add("abc", "so-rdc-ptx-80", "r:p80 h:p80", "so shared", "")
	add("ab", "cudart-missing", "k:s90", "shared alone", "")
	add("ab", "so-cudart-missing", "k:s90", "so shared alone", "")

	// Headers and payloads that disagree.
	for _, r := range [][3]string{
		{"header-isa-9.9", "k:p75", "p75 header-isa 9.9"}, {"text-isa-9.9-header-7.0", "k:p75", "p75 text 9.9;p75 header-isa 7.0"},
		{"header-isa-7.0", "k:p75", "p75 header-isa 7.0"}, {"header-80-text-75", "k:p75", "p75 header-sm 80"}, {"header-75-text-80", "k:p80", "p80 header-sm 75"},
		{"header-100-text-75", "k:p75", "p75 header-sm 100"}, {"header-75-text-90", "k:p90", "p90 header-sm 75"},
		{"header-90-cubin-80", "k:s80", "s80 header-sm 90"}, {"header-80-cubin-90", "k:s90", "s90 header-sm 80"}, {"header-75-cubin-90", "k:s90", "s90 header-sm 75"},
		{"header-90-cubin-75", "k:s75", "s75 header-sm 90"},
		{"header-f-cubin-90", "k:s90", "s90 flags f"}, {"header-a-cubin-90", "k:s90", "s90 flags a"}, {"header-a-ptx-75", "k:p75", "p75 flags a"},
		{"header-unknown-flag-cubin-90", "k:s90", "s90 flags 0x1000000"}, {"header-unknown-flag-ptx-75", "k:p75", "p75 flags 0x1000000"},
		{"header-f-ptx-75", "k:p75", "p75 flags f"}, {"header-f-ptx-90", "k:p90", "p90 flags f"}, {"two-cubins-80-and-90", "k:s80,s90", "s80 header-sm 90"}, {"two-cubins-90-and-80", "k:s90,s80", "s80 header-sm 90"}} {
		add("abc", r[0], r[1], "plain", r[2])
	}
	add("bc", "header-without-a-cubin-90a", "k:s90a", "plain", "s90a flags none")
	add("bc", "header-without-a-ptx-90a", "k:p90a", "plain", "p90a flags none")
	add("c", "header-90-text-100", "k:p100", "plain", "p100 header-sm 90")
	add("c", "header-without-a-ptx-100a", "k:p100a", "plain", "p100a flags none")
	add("c", "header-90-cubin-100", "k:s100", "plain", "s100 header-sm 90")
	add("c", "two-cubins-90-and-100", "k:s90,s100", "plain", "s100 header-sm 90")
	add("c", "header-90-text-100-beside-ptx-75", "k:p75,p100", "plain", "p100 header-sm 90")
	add("c", "header-90-cubin-100-beside-ptx-75", "k:s100,p75", "plain", "s100 header-sm 90")
	add("c", "header-90a-ptx-100a", "k:p100a", "plain", "p100a header-sm 90")
	add("c", "header-f-cubin-100-on-ptx-90", "k:s100,p90", "plain", "s100 flags f")

	// What the environment does.
	for _, r := range [][3]string{{"hidden-gpu-90", "k:s90", "CUDA_VISIBLE_DEVICES=-1"}, {"no-compiler-90", "k:s90", "CUDA_DISABLE_PTX_JIT=1 CUDA_CACHE_DISABLE=1"},
		{"no-compiler-ptx-80", "k:p80", "CUDA_DISABLE_PTX_JIT=1 CUDA_CACHE_DISABLE=1"}, {"no-compiler-75", "k:s75", "CUDA_DISABLE_PTX_JIT=1 CUDA_CACHE_DISABLE=1"},
		{"no-compiler-any-ptx-80", "k:p80", "CUDA_DISABLE_JIT=1 CUDA_CACHE_DISABLE=1"}} {
		all = append(all, recipe{on: "abc", name: r[0], units: r[1], env: r[2]})
	}
	return all
}

// how says in words how a program was made.
func (r recipe) how() string {
	var b strings.Builder
	for i, u := range strings.Fields(r.units) {
		kind, images, _ := strings.Cut(u, ":")
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(map[string]string{"k": "kernel", "k+": "relocatable kernel", "v": "variable", "c": "constant", "n": "nothing", "r": "relocatable caller", "h": "its callee"}[kind])
		for _, image := range strings.Split(images, ",") {
			fmt.Fprintf(&b, " %s_%s", map[byte]string{'s': "sm", 'p': "compute", 'l': "lto"}[image[0]], image[1:])
		}
	}
	for _, more := range []string{r.options, r.patches, r.env} {
		if more != "" {
			b.WriteString(" · " + more)
		}
	}
	return b.String()
}

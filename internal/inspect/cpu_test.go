package inspect_test

import (
	"slices"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

func decoded(t *testing.T, name string) facts.File {
	t.Helper()
	f, err := inspect.File("testdata/"+name, inspect.CPU)
	if err != nil {
		t.Fatal(err)
	}
	if f.ELF.CPU == nil {
		t.Fatalf("%s was not decoded", name)
	}
	return f
}

func TestTheProcessorThatCodeNeedsIsReadFromIt(t *testing.T) {
	for name, c := range map[string]struct {
		level      string
		uses       []string
		dispatch   []string
		beyond     []string
		dispatched bool
	}{
		"cpu-plain.so":    {level: "x86-64"},
		"cpu-avx2.so":     {level: "x86-64-v3", uses: []string{"avx", "fma", "avx2"}, beyond: []string{"avx", "fma", "avx2"}},
		"cpu-dispatch.so": {level: "x86-64-v3", uses: []string{"avx"}, dispatch: []string{"cpuid", "ifunc"}, beyond: []string{"avx"}, dispatched: true},
		// Nobody says where functions are in an assembler's code.
		"cpu-asm.so": {level: "x86-64-v4", uses: []string{"avx512"}, beyond: []string{"avx512"}},
		"mix.so":     {level: "x86-64"},
	} {
		t.Run(name, func(t *testing.T) {
			f := decoded(t, name)
			cpu := f.ELF.CPU
			if cpu.Level != c.level || !slices.Equal(names(cpu.Uses), c.uses) || !slices.Equal(cpu.Dispatch, c.dispatch) {
				t.Errorf("got %+v, want %+v", cpu, c)
			}
			beyond, variant, dispatched := inspect.BeyondBaseline(f)
			if !slices.Equal(names(beyond), c.beyond) || variant != "" || dispatched != c.dispatched {
				t.Errorf("got %v, variant %q, dispatched %v", beyond, variant, dispatched)
			}
			wrong := slices.ContainsFunc(inspect.Problems(f), func(p facts.Problem) bool { return p.Code == "cpu" })
			if wrong != (len(c.beyond) > 0 && !c.dispatched) {
				t.Errorf("problems: %v", inspect.Problems(f))
			}
		})
	}
}

func names(uses []facts.CPUUse) []string {
	var list []string
	for _, u := range uses {
		list = append(list, u.ISA)
	}
	return list
}

func TestAVariantMayUseWhatItsNameSays(t *testing.T) {
	f := decoded(t, "cpu-avx2.so")
	for path, want := range map[string][]string{
		"libggml-cpu-haswell.so":        nil,
		"lib/libggml-cpu-haswell.so":    nil,
		"libggml-cpu-sapphirerapids.so": nil,
		"libggml-cpu-piledriver.so":     {"avx2"},
		"libggml-cpu-sandybridge.so":    {"fma", "avx2"},
		"libggml-cpu-x64.so":            {"avx", "fma", "avx2"},
		"libggml-cpu-nextlake.so":       {"avx", "fma", "avx2"},
		"libggml-cpu.so":                {"avx", "fma", "avx2"},
	} {
		f.Path = path
		if got, _, _ := inspect.BeyondBaseline(f); !slices.Equal(names(got), want) {
			t.Errorf("%s: beyond its name is %v, want %v", path, names(got), want)
		}
	}
}

func TestAskingTheProcessorIsNotEnoughWhereAllCodeIsBeyond(t *testing.T) {
	f := facts.File{Path: "libllama.so", ELF: &facts.ELF{CPU: &facts.CPU{Level: "x86-64-v3", Baseline: 199, Beyond: 100, Dispatch: []string{"cpuid"},
		Uses: []facts.CPUUse{{ISA: "avx", Instructions: 900, Functions: 100}}}}}
	if _, _, dispatched := inspect.BeyondBaseline(f); dispatched {
		t.Error("half the floating point is AVX: that is no choice of kernels")
	}
	f.ELF.CPU.Baseline = 200
	if _, _, dispatched := inspect.BeyondBaseline(f); !dispatched {
		t.Error("few functions among many, and it asks")
	}
}

func TestCodeIsDecodedOnlyWhereItIsAskedFor(t *testing.T) {
	f, err := inspect.File("testdata/cpu-avx2.so")
	if err != nil {
		t.Fatal(err)
	}
	if f.ELF.CPU != nil {
		t.Errorf("got %+v", f.ELF.CPU)
	}
}

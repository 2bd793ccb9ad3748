package inspect_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

// ptxEntry is an entry of a fat binary with a text that defines kernels.
func ptxEntry(sm uint32, text string) []byte {
	h := make([]byte, 64)
	copy(h, le(nil, uint16(1), uint16(0x101), uint32(64), uint64(len(text))))
	copy(h[24:], le(nil, uint16(8), uint16(7), uint32(sm)))
	return append(h, text...)
}

func fatContainer(entries ...[]byte) []byte {
	body := bytes.Join(entries, nil)
	return append(le(nil, uint32(0xba55ed50), uint16(1), uint16(16), uint64(len(body))), body...)
}

func ptxText(sm int, kernels ...string) string {
	text := fmt.Sprintf("// made here\n.version 7.8\n.target sm_%d\n.address_size 64\n", sm)
	for _, k := range kernels {
		text += ".visible .entry " + k + "(\n.param .u64 p\n)\n{\nret;\n}\n"
	}
	return text
}

func kernelsOf(t *testing.T, b []byte) *facts.Kernels {
	t.Helper()
	f, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), "file", inspect.Kernels)
	if err != nil {
		t.Fatal(err)
	}
	return f.Device.Kernels
}

func TestKernelsAreComparedWithinEachUnit(t *testing.T) {
	k := kernelsOf(t, bytes.Join([][]byte{
		fatContainer(ptxEntry(75, ptxText(75, "_Z3addPf", "_Z3subPf")), ptxEntry(80, ptxText(80, "_Z3addPf"))),
		// Another unit with no image for 75 lacks nothing for it.
		fatContainer(ptxEntry(80, ptxText(80, "_Z3addPf", "only80"))),
		// A unit without kernels lacks none.
		fatContainer(ptxEntry(90, ptxText(90))),
	}, nil))
	want := &facts.Kernels{Differ: 1,
		Targets: []facts.KernelTarget{{Name: "compute_75", Units: 1, Kernels: 2}, {Name: "compute_80", Units: 2, Kernels: 2}, {Name: "compute_90"}},
		Sets: []facts.KernelSet{
			{In: []string{"compute_75"}, Lacks: []string{"compute_80"}, Count: 1, Kernels: []facts.Kernel{{Name: "_Z3subPf", Demangled: "sub(float*)", Units: 1}}},
			{In: []string{"compute_75", "compute_80"}, Count: 1, Kernels: []facts.Kernel{{Name: "_Z3addPf", Demangled: "add(float*)", Units: 2}}},
			{In: []string{"compute_80"}, Count: 1, Kernels: []facts.Kernel{{Name: "only80", Units: 1}}},
		}}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Errorf("kernels (-want +got):\n%s", diff)
	}
}

func TestKernelsOfEveryKindOfFileAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"11.8.89.fatbin":            "sm_80 1, compute_35 1: k",
		"12.5.40-90a.cubin":         "sm_90a 1: k",
		"12.4.131-zstd.fatbin":      "sm_80 1: k",
		"12.4.131-lz4-frame.fatbin": "sm_80 1: k",
		"13.0.88-75-size.fatbin":    "sm_75 1, compute_75 1: _Z3addPf",
		"mix.so":                    "sm_75 1, compute_80 1: _Z2kaPf",
		"rdc.so":                    "sm_75 1: _Z2krPf",
		"a.o":                       "sm_75 1: _Z2kaPf",
	} {
		k := kernelsOf(t, samples(t)[name])
		var got, names []string
		for _, g := range k.Targets {
			got = append(got, fmt.Sprint(g.Name, " ", g.Kernels))
		}
		for _, s := range k.Sets {
			for _, n := range s.Kernels {
				names = append(names, n.Name)
			}
		}
		if text := strings.Join(got, ", ") + ": " + strings.Join(names, " "); text != want {
			t.Errorf("%s: got %q, want %q", name, text, want)
		}
	}
}

func TestKernelsOfATextAreThoseItDefines(t *testing.T) {
	long := strings.Repeat("x", 5000)
	text := ptxText(80, "a", long) + "// .entry commented\n.extern .entry elsewhere(.param .u64 p);\n.weak .entry\tb{\n.func entry(){}\n" +
		strings.Repeat("mov.u32 %r1, %r2;\n", 30000) + ".entry last() {ret;}"
	k := kernelsOf(t, []byte(text))
	var got []string
	for _, n := range k.Sets[0].Kernels {
		got = append(got, n.Name)
	}
	if want := []string{"a", "b", "last", long}; !slices.Equal(got, want) || k.Targets[0].Name != "compute_80" {
		t.Errorf("got %.200q of %v", got, k.Targets)
	}
}

func TestBrokenImagesGiveAnErrorAlsoForKernels(t *testing.T) {
	for name, b := range samples(t) {
		for n := 0; n < len(b); n += 397 {
			c := bytes.Clone(b)
			c[n] ^= 0xff
			// A damaged file gives facts or an error, and ends.
			_, _ = inspect.Reader(bytes.NewReader(c), int64(len(c)), name, inspect.Kernels, inspect.CPU)
		}
	}
}

func TestKernelsAreListedOnlyWhereTheyAreAskedFor(t *testing.T) {
	if f := read(t, samples(t)["mix.so"]); f.Device.Kernels != nil {
		t.Errorf("got %+v", f.Device.Kernels)
	}
}

package inspect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

func TestNVIDIAsLibrariesSayTheirVersion(t *testing.T) {
	banner := "Cuda compilation tools, release %d.%d, \x00Cuda compilation tools, release 12.4, V12.4.127\x00"
	for name, c := range map[string]struct {
		file, soname, rodata string
		want                 *facts.Redistributable
		wrong                bool
	}{
		"by the file's name":         {"lib/libcublas.so.12.4.5.8", "libcublas.so.12", "", &facts.Redistributable{Library: "cublas", Name: "12.4.5.8", Version: "12.4.5.8"}, false},
		"the SONAME is no version":   {"libcublas.so.12", "libcublas.so.12", "", &facts.Redistributable{Library: "cublas"}, false},
		"nor is that of cudart 11":   {"libcudart.so.11.0", "libcudart.so.11.0", "", &facts.Redistributable{Library: "cudart"}, false},
		"by a compiler's banner":     {"libnvrtc.so.12", "libnvrtc.so.12", banner, &facts.Redistributable{Library: "nvrtc", Content: "12.4.127", Version: "12.4.127"}, false},
		"both agree":                 {"libnvrtc.so.12.4.127", "libnvrtc.so.12", banner, &facts.Redistributable{Library: "nvrtc", Name: "12.4.127", Content: "12.4.127", Version: "12.4.127"}, false},
		"they differ":                {"libnvrtc.so.12.8.93", "libnvrtc.so.12", banner, &facts.Redistributable{Library: "nvrtc", Name: "12.8.93", Content: "12.4.127", Version: "12.4.127"}, true},
		"a banner of somebody else":  {"libx.so.1", "libx.so.1", banner, nil, false},
		"a name that only resembles": {"libcublasx.so.12.1", "libcublasx.so.12", "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := builder{soname: c.soname, stack: plainStack, sections: []testSection{{".rodata", progbits, allocated, []byte(c.rodata)}}}.build()
			f := readAs(t, b, c.file)
			if diff := cmp.Diff(c.want, f.ELF.NVIDIA); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if has(inspect.Problems(f), "nvidia-version") != c.wrong {
				t.Errorf("problems: %v", inspect.Problems(f))
			}
		})
	}
}

// A stand-in for the CUDA runtime: its function calls one that returns 12040.
func TestTheNumberThatAVersionFunctionReturnsIsReadNotRun(t *testing.T) {
	f, err := inspect.File("testdata/libcudart.so.12")
	if err != nil {
		t.Fatal(err)
	}
	want := &facts.Redistributable{Library: "cudart", Content: "12.4", Version: "12.4"}
	if diff := cmp.Diff(want, f.ELF.NVIDIA); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

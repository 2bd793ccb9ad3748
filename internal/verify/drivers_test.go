package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

func TestFilesAgainstTheDriversOfThePromise(t *testing.T) {
	squeezed := func(i facts.Image, how string) facts.Image { i.Compression = how; return i }
	device := func(toolkit string, cudart int, images ...facts.Image) facts.Report {
		d := &facts.Device{Toolkit: toolkit, Units: 2, Groups: []facts.Group{{Units: 2, Owner: facts.OwnerOwn, Images: images}}}
		for _, i := range images {
			if i.Kind == facts.KindPTX {
				d.PTX = append(d.PTX, facts.Target{SM: i.SM, ISA: i.ISA, Units: 2})
			}
		}
		if cudart > 0 {
			d.Cudart = &facts.Cudart{Link: "shared", Major: cudart}
		}
		return facts.Report{Files: []facts.File{{Path: "libggml-cuda.so", ELF: &facts.ELF{}, Device: d}}}
	}
	for name, c := range map[string]struct {
		toolkit, driver string
		sms             []string
		report          facts.Report
		native          []string
		want            []string
	}{
		"machine code of the cell's toolkit": {"12.4.1", "525.60.13", []string{"75", "86"}, device("12.4", 12, sass("75"), sass("86")), nil, nil},
		"a runtime of a newer major version": {"11.8.0", "450.80.02", []string{"75"}, device("11.8", 12, sass("75")), nil,
			[]string{"driver-floor 75: on compute capability 7.5 it needs driver 525.60.13 (cudart-12), the promise is 450.80.02"}},
		"PTX that rides along for newer GPUs": {"12.8.1", "525.60.13", []string{"75", "90"}, device("12.8", 12, sass("75"), sass("90"), ptx("90", "8.7")), nil, nil},
		"the story: PTX for older GPUs, by a newer compiler than the drivers": {"12.8.1", "525.60.13", []string{"86", "89"},
			device("12.8", 12, sass("86"), sass("89"), ptx("75", "8.7"), ptx("80", "8.7")), nil,
			[]string{"ptx-isa-too-new : on compute capability 7.5, 8.0 it runs by PTX of ISA 8.7 alone, which driver 525.60.13 of the promise cannot compile, and no cell has machine code for it"}},
		"the same where other cells have machine code": {"12.8.1", "525.60.13", []string{"86", "89"},
			device("12.8", 12, sass("86"), sass("89"), ptx("75", "8.7"), ptx("80", "8.7")), []string{"7.5", "8.0"}, nil},
		"PTX for older GPUs that the promised driver compiles": {"12.8.1", "570.26", []string{"86", "89"},
			device("12.8", 12, sass("86"), sass("89"), ptx("75", "8.7")), nil, nil},
		"PTX for a GPU that is newer than the ISA": {"12.8.1", "525.60.13", []string{"100", "120a"},
			device("12.8", 12, sass("100"), sass("120a"), ptx("90", "8.7")), []string{"9.0"}, nil},
		"PTX that the toolkit does not write": {"11.8.0", "450.80.02", []string{"75"}, device("11.8", 11, sass("75"), ptx("75", "8.7")), nil,
			[]string{"ptx-isa-too-new 75: PTX for compute_75 has ISA 8.7, CUDA 11.8.0 writes 7.8 at most"}},
		"zstd is Cell's to tell":   {"12.8.1", "525.60.13", []string{"75"}, device("12.8", 12, squeezed(sass("75"), "zstd")), nil, nil},
		"a cell without a toolkit": {"", "", nil, facts.Report{}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := matrix.Plan{Cell: matrix.Cell{ID: "x", Toolkit: c.toolkit, SMs: c.sms}}
			var got []string
			for _, m := range verify.Drivers(p, c.report, verify.Promise{MinDriver: c.driver, MachineCode: func(cc string) bool { return slices.Contains(c.native, cc) }}) {
				got = append(got, m.Code+" "+m.SM+": "+m.Text)
				if m.Fix == "" {
					t.Errorf("%s has no fix", m.Code)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestCompressionIsHeldAgainstTheOldestDriver(t *testing.T) {
	for name, c := range map[string]struct {
		driver, kind, how string
		want              string
	}{
		"LZ4 blocks need nothing":           {"450.80.02", facts.KindSASS, "lz4", ""},
		"zstd before 12.4":                  {"525.60.13", facts.KindSASS, "zstd", "machine code is compressed (zstd) in 139 of 139 units, which driver 525.60.13 of the promise does not read: 550.54.14 (CUDA 12.4) does"},
		"zstd, an older driver of its CUDA": {"550.40.07", facts.KindSASS, "zstd", "machine code is compressed (zstd) in 139 of 139 units, which driver 550.40.07 of the promise does not read: 550.54.14 (CUDA 12.4) does"},
		"zstd from its driver on":           {"550.54.14", facts.KindSASS, "zstd", ""},
		"zstd, a later branch":              {"580.65.06", facts.KindSASS, "zstd", ""},
		"zstd of PTX asks nothing beyond":   {"525.60.13", facts.KindPTX, "zstd", ""},
		"zlib where nobody looked":          {"525.60.13", facts.KindSASS, "zlib", "machine code is compressed (zlib) in 139 of 139 units, which driver 525.60.13 of the promise is not known to read: a driver of CUDA 12.2 is"},
		"zlib where it was seen":            {"535.54.03", facts.KindSASS, "zlib", ""},
		"LZ4 frames of PTX":                 {"525.60.13", facts.KindPTX, "lz4-frame", "PTX is compressed (lz4-frame) in 139 of 139 units, which driver 525.60.13 of the promise is not known to read: a driver of CUDA 12.2 is"},
		"a way that does not exist":         {"580.65.06", facts.KindSASS, "brotli", "machine code is compressed (brotli) in 139 of 139 units, which driver 580.65.06 of the promise is not known to read"},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := plan(), bundle()
			if c.kind == facts.KindPTX {
				p.Cell.PTX = []string{"80"}
				r.Files[2].Device.Groups[0].Images = append(r.Files[2].Device.Groups[0].Images, ptx("80", "7.8"))
			}
			images := r.Files[2].Device.Groups[0].Images
			images[len(images)-1].Compression = c.how
			got := ""
			for _, m := range verify.Cell(p, r, verify.Options{MinDriver: c.driver}) {
				got += m.Text
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

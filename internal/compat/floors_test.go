package compat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

func lines(t *testing.T, floors []facts.Floor) string {
	t.Helper()
	var b strings.Builder
	for _, f := range floors {
		j, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(j, '\n'))
	}
	return b.String()
}

func TestFloorsOfFiles(t *testing.T) {
	partly := cudaFile("12.4", own(140, "p50@8.4 86"), own(3, "86"))
	rdc := cudaFile("12.4", facts.Group{Units: 2, Owner: facts.OwnerOwn, Linked: true, Images: images("86")})
	rdc.Device.Relocatable = []facts.Group{own(5, "86 p80@8.4"), own(1, "86 p75@8.4")}
	lone := cudaFile("12.4", facts.Group{Units: 1, Owner: facts.OwnerOwn, Linked: true, Images: images("86")})
	bare := facts.File{Path: "a.cubin", Device: &facts.Device{Toolkit: "12.4", Units: 1, Groups: []facts.Group{own(1, "80")}}}
	old := cudaFile("10.2", own(1, "75"))
	mixed := facts.File{Path: "a.fatbin", Device: &facts.Device{Toolkit: "mixed", Toolkits: []string{"11.8", "12.4", "12.5"}, Units: 3, Groups: []facts.Group{own(3, "80")}}}
	for name, c := range map[string]struct {
		file facts.File
		want string
	}{
		"SASS goes on to higher minors but not to Tegra, PTX to all that follow": {cudaFile("12.8", own(143, "86 p90@8.7")),
			`{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"doc"}
{"cc":"9.0+","via":"ptx","min_cuda":"12.8","min_driver":"570.26","because":["cudart-12","ptx-isa-8.7"],"sure":"doc"}
`},
		"the T4 cell asks for the first driver of its runtime's major": {cudaFile("11.8", own(143, "75"), empty(4)),
			`{"cc":"7.5-7.x","via":"sass","min_cuda":"11.0","min_driver":"450.80.02","because":["cudart-11"],"sure":"doc"}
`},
		"a PTX range runs over the SASS that wins": {cudaFile("12.4", own(1, "86 p80@8.4")),
			`{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"doc"}
{"cc":"8.0+","via":"ptx","min_cuda":"12.4","min_driver":"550.54.14","because":["cudart-12","ptx-isa-8.4"],"sure":"doc"}
`},
		"three units of 143 without an image are enough to fail": {partly,
			`{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"doc"}
{"cc":"5.0+","via":"none","lacking":{"units":3,"of":143},"because":["no-kernel-image"],"sure":"doc"}
`},
		"zstd SASS asks for the CUDA that can read it, zstd PTX for nothing more": {cudaFile("12.8", own(1, "86:zstd p75@8.0:zstd")),
			`{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.4","min_driver":"550.54.14","because":["compression-zstd","cudart-12"],"sure":"multi"}
{"cc":"7.5+","via":"ptx","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12","ptx-isa-8.0"],"sure":"doc"}
`},
		"suffix a is one chip, suffix f a family": {cudaFile("13.0", own(1, "90a 100f p120a@9.0")),
			`{"cc":"9.0","via":"sass","min_cuda":"13.0","min_driver":"580.65.06","because":["cudart-13"],"sure":"doc"}
{"cc":"10.0","via":"sass","min_cuda":"13.0","min_driver":"580.65.06","because":["cudart-13"],"sure":"doc"}
{"cc":"10.3","via":"sass","min_cuda":"13.0","min_driver":"580.65.06","because":["cudart-13"],"sure":"doc"}
{"cc":"10.7","via":"sass","min_cuda":"13.0","min_driver":"580.65.06","because":["cudart-13"],"sure":"doc"}
{"cc":"12.0","via":"ptx","min_cuda":"13.0","min_driver":"580.65.06","because":["cudart-13","ptx-isa-9.0"],"sure":"doc"}
`},
		"Orin's code runs on Orin": {cudaFile("12.4", own(1, "87")),
			`{"cc":"8.7","via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"doc"}
`},
		"PTX of R565 has no toolkit, so no driver either": {cudaFile("12.6", own(1, "p90@8.6")),
			`{"cc":"9.0+","via":"ptx","min_cuda":"12.7","because":["cudart-12","ptx-isa-8.6"],"sure":"doc"}
`},
		"relocatable code is linked from inputs that each have something": {rdc,
			`{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"doc"}
{"cc":"8.0+","via":"ptx","min_cuda":"12.4","min_driver":"550.54.14","because":["cudart-12","ptx-isa-8.4","relocatable"],"sure":"false"}
{"cc":"1.0-7.x","via":"none","lacking":{"units":2,"of":2},"because":["no-kernel-image","relocatable"],"sure":"doc"}
`},
		"relocatable code without inputs": {lone,
			`{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"doc"}
{"cc":"1.0+","via":"none","lacking":{"units":1,"of":1},"because":["no-kernel-image","relocatable"],"sure":"doc"}
`},
		"a bare cubin asks for its toolkit's major": {bare,
			`{"cc":"8.0-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["toolkit-12"],"sure":"doc"}
`},
		"of several toolkits the newest decides": {mixed,
			`{"cc":"8.0-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["toolkit-12"],"sure":"doc"}
`},
		"before CUDA 11 there is no minor-version compatibility": {old,
			`{"cc":"7.5-7.x","via":"sass","min_cuda":"10.2","min_driver":"440.33","because":["cudart-10.2"],"sure":"doc"}
`},
		"nothing that any GPU can run": {cudaFile("12.4", own(2, "")),
			`{"cc":"1.0+","via":"none","lacking":{"units":2,"of":2},"because":["no-kernel-image"],"sure":"doc"}
`},
		"an ISA beyond the table asks for more than the last CUDA known": {cudaFile("13.5", own(1, "p90@9.9")),
			`{"cc":"9.0+","via":"ptx","min_cuda":"13.5","because":["cudart-13","ptx-isa-9.9"],"sure":"false"}
`},
		"stock cuBLAS needs one unit that fits": {cudaFile("12.4", theirs(5, "70"), theirs(2, "80 86")),
			`{"cc":"7.0-8.x","except":["7.2","8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"],"sure":"single"}
`},
		"cuBLAS with pruned units is believed only with a record": {cudaFile("12.4", theirs(5, "70"), empty(9)),
			`{"cc":"7.0-7.x","except":["7.2"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12","unknown-lean"],"sure":"false"}
`},
	} {
		if d := cmp.Diff(c.want, lines(t, Floors(c.file))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestFilesThatAskNothingHaveNoFloors(t *testing.T) {
	for name, f := range map[string]facts.File{"no device code": {Path: "LICENSE"}, "empty units only": cudaFile("12.4", empty(4)), "no units": cudaFile("12.4")} {
		if got := Floors(f); got != nil {
			t.Errorf("%s: %s", name, lines(t, got))
		}
	}
	if got := PartFloors([]facts.File{{Path: "LICENSE"}, cudaFile("12.4", empty(4))}); got != nil {
		t.Errorf("part: %s", lines(t, got))
	}
}

func TestAPartHasTheWorstWayAndTheHighestFloors(t *testing.T) {
	files := []facts.File{{Path: "LICENSE"}, cudaFile("11.8", own(9, "75 86 p90@7.8")), cudaFile("12.4", own(1, "75 80 p80@8.4:lz4"))}
	want := `{"cc":"7.5-7.x","via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-11","cudart-12"],"sure":"doc"}
{"cc":"8.6-8.x","except":["8.7"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-11","cudart-12"],"sure":"doc"}
{"cc":"9.0+","via":"ptx","min_cuda":"12.4","min_driver":"550.54.14","because":["cudart-11","cudart-12","ptx-isa-7.8","ptx-isa-8.4"],"sure":"doc"}
`
	if d := cmp.Diff(want, lines(t, PartFloors(files))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff(want, lines(t, BundleFloors(PartFloors(files[1:2]), nil, PartFloors(files[2:])))); d != "" {
		t.Errorf("the same from published floors (-want +got):\n%s", d)
	}
}

func TestALeanLibraryIsBelievedForItsPromiseOnly(t *testing.T) {
	f := cudaFile("11.8", own(143, "75"), theirs(800, "70 75"), empty(400))
	p := bundles.Part{Files: []facts.File{f}, Lean: &bundles.Lean{Of: "cublas-11.11", Selected: map[string]bundles.Selected{"7.5": {Units: 331, Digest: digest("x")}}}}
	want := `{"cc":"7.5","via":"sass","min_cuda":"11.0","min_driver":"450.80.02","because":["cudart-11"],"sure":"doc"}
{"cc":"1.0+","via":"none","because":["runtime-lacks-sm"],"sure":"doc"}
`
	if d := cmp.Diff(want, lines(t, PartFloorsOf(p))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// devices are files as they are found, and random ones.
func devices(n int) map[string]facts.File {
	out := map[string]facts.File{"upstream": upstream()}
	for id, p := range matrixRelease().Parts {
		out[id] = p.Files[0]
	}
	r := rand.New(rand.NewPCG(1, 2))
	targets := strings.Fields("50 52 53 60 61 62 70 72 75 80 86 87 89 90 90a 100 100a 100f 101 103 103f 110 110f 120 120a 120f 121 121a")
	isas := strings.Fields("6.5 7.0 7.1 7.4 7.8 8.0 8.2 8.4 8.5 8.6 8.7 8.8 9.0 9.1 9.3 9.4 9.5 9.9")
	toolkits := strings.Fields("10.2 11.2 11.8 12.0 12.4 12.6 12.8 13.0 13.4")
	group := func() facts.Group {
		var list []string
		for range r.IntN(5) {
			s := targets[r.IntN(len(targets))]
			if r.IntN(2) == 0 {
				s = "p" + s + "@" + isas[r.IntN(len(isas))]
			}
			list = append(list, s+[]string{"", ":zstd", ":lz4", ":zlib"}[r.IntN(4)])
		}
		g := own(1+r.IntN(5), strings.Join(list, " "))
		if r.IntN(8) == 0 {
			g.Empty = true
		}
		if r.IntN(8) == 0 {
			g.Linked = true
		}
		return g
	}
	for i := range n {
		var groups []facts.Group
		for range 1 + r.IntN(3) {
			groups = append(groups, group())
		}
		f := cudaFile(toolkits[r.IntN(len(toolkits))], groups...)
		for range r.IntN(3) {
			f.Device.Relocatable = append(f.Device.Relocatable, group())
		}
		out[fmt.Sprintf("random %d", i)] = f
	}
	return out
}

// drivers are the first and a later driver of every branch, and odd ones.
func drivers() []Driver {
	var out []Driver
	for _, b := range table().Branches() {
		for _, v := range []string{".01", ".54.14", ".60.12", ".60.13", ".65.06", ".163.01"} {
			out = append(out, table().DriverOf(facts.Driver{Libcuda: b.Branch + v}))
		}
		out = append(out, table().DriverOf(facts.Driver{CUDA: b.CUDA}))
	}
	return append(out, Driver{}, table().DriverOf(facts.Driver{Libcuda: "600.10"}), table().DriverOf(facts.Driver{Libcuda: "700.10"}), table().DriverOf(facts.Driver{Libcuda: "340.10"}))
}

func TestFloorsSayWhatDirectJudgementSays(t *testing.T) {
	tab := table()
	checked, all := 0, drivers()
	for name, f := range devices(30) {
		floors := Floors(f)
		if floors == nil {
			continue
		}
		for _, cc := range tab.grid() {
			direct, stated := tab.deviceAt(f.Device, nil, cc), published(floors, cc)
			for _, d := range all {
				want, got := tab.result(direct, d), tab.result(stated, d)
				if want.Via != got.Via || want.Verdict != got.Verdict || !slices.Equal(want.Because, got.Because) {
					t.Fatalf("%s on %s with %+v: directly %+v, by floors %+v\n%s", name, cc, d, want, got, lines(t, floors))
				}
				checked++
			}
		}
	}
	if checked < 5e5 {
		t.Errorf("only %d cases", checked)
	}
}

// reference judges a file of own, plain units the slow way, unit by unit and
// image by image, with nothing shared but the numbers.
func reference(f facts.File, major, minor int, d Driver) string {
	tab := table()
	tegra := map[int]bool{32: true, 53: true, 62: true, 72: true, 87: true, 101: true, 110: true}
	family := func(n int) string {
		switch n {
		case 100, 103, 107:
			return "10"
		case 110:
			return "11"
		case 120, 121:
			return "12"
		}
		return fmt.Sprint("?", n)
	}
	cc := major*10 + minor
	ask := func(cuda, driver string) int { // 0 met, 1 open, 2 not met
		return int(d.meets(demand{cuda: version(cuda), driver: version(driver)}))
	}
	worst, ptx := 0, false
	for _, g := range f.Device.Groups {
		if g.Empty {
			continue
		}
		var sass, text *facts.Image
		sassAt, textAt := -1, -1
		for i, im := range g.Images {
			suffix := strings.Trim(im.SM, "0123456789")
			var n int
			fmt.Sscanf(im.SM, "%d", &n)
			weight := n*4 + map[string]int{"": 0, "f": 1, "a": 2}[suffix]
			fits := false
			switch {
			case suffix == "a":
				fits = n == cc
			case suffix == "f":
				fits = n == cc || family(n) == family(cc) && cc > n && (im.Kind == facts.KindPTX || !tegra[n] && !tegra[cc])
			case im.Kind == facts.KindPTX:
				fits = cc >= n
			case tegra[n] || tegra[cc]:
				fits = n == cc
			default:
				fits = n/10 == major && n%10 <= minor
			}
			switch {
			case !fits:
			case im.Kind == facts.KindSASS && (weight > sassAt || weight == sassAt && im.Compression > sass.Compression):
				sass, sassAt = &g.Images[i], weight
			case im.Kind == facts.KindPTX && (weight > textAt || weight == textAt && (version(text.ISA).Less(version(im.ISA)) || im.ISA == text.ISA && im.Compression > text.Compression)):
				text, textAt = &g.Images[i], weight
			}
		}
		chosen := sass
		switch {
		case sass != nil:
			if sass.Compression == "zstd" {
				worst = max(worst, ask("12.4", "550.54.14"))
			}
		case text != nil:
			chosen, ptx = text, true
			cuda := ""
			for _, i := range tab.Facts.PTXISAs.ISAs {
				if i.ISA == text.ISA {
					cuda = i.CUDA
				}
			}
			if cuda == "" { // 9.9
				if d.High.Known() {
					worst = max(worst, 2)
				} else {
					worst = max(worst, max(1, ask("13.5", "")))
				}
			} else {
				driver, _ := tab.firstDriverOf(version(cuda))
				worst = max(worst, ask(cuda, driver.String()))
			}
		default:
			return facts.VerdictRefused
		}
		if chosen.Compression == "zlib" && (!d.Low.Known() || d.Low.Less(version("12.2"))) {
			worst = max(worst, 1)
		}
	}
	switch f.Device.Cudart.Major {
	case 10:
		worst = max(worst, ask("10.2", "440.33"))
	case 11:
		worst = max(worst, ask("11.0", "450.80.02"))
	case 12:
		worst = max(worst, ask("12.0", "525.60.13"))
	case 13:
		worst = max(worst, ask("13.0", "580.65.06"))
	}
	switch {
	case worst == 2:
		return facts.VerdictRefused
	case worst == 1:
		return facts.VerdictUnknown
	case ptx:
		return facts.VerdictJIT
	}
	return facts.VerdictNative
}

func TestDirectJudgementIsTheRulesReadAloud(t *testing.T) {
	all := drivers()
	for name, f := range devices(30) {
		if !judged(f.Device) || slices.ContainsFunc(f.Device.Groups, func(g facts.Group) bool { return g.Linked || g.Owner == facts.OwnerNVIDIA }) {
			continue
		}
		for _, cc := range table().CCs() {
			for _, d := range all {
				if want, got := reference(f, cc.Major, cc.Minor, d), Run(f, cc, d).Verdict; want != got {
					t.Fatalf("%s on %s with %+v: want %s, got %s\n%+v", name, cc, d, want, got, f.Device.Groups)
				}
			}
		}
	}
}

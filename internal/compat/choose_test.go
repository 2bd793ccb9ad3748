package compat

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

func TestTheMatrixKeepsItsPromise(t *testing.T) {
	m := matrixRelease()
	for _, p := range []struct{ cc, from, to string }{
		{"5.0", "450.80.02", "580"}, {"5.2", "450.80.02", "580"}, {"6.0", "450.80.02", "580"}, {"6.1", "450.80.02", "580"}, {"7.0", "450.80.02", "580"},
		{"7.5", "450.80.02", ""}, {"8.0", "450.80.02", ""}, {"8.6", "455.23", ""}, {"8.9", "520.56.06", ""}, {"9.0", "525.60.13", ""},
		{"10.0", "570.86.15", ""}, {"12.0", "570.86.16", ""}, {"10.3", "580.82.07", ""},
	} {
		hosts := []string{p.from}
		for _, b := range table().Branches() {
			if v := version(b.Branch); v.Major() > version(p.from).Major() && (p.to == "" || v.Compare(version(p.to)) <= 0) {
				hosts = append(hosts, b.Branch+".99.01")
			}
		}
		for _, driver := range hosts {
			c, all := Choose(m, hostWith(driver, p.cc), ChooseOptions{})
			if c == nil || c.Via != facts.ViaSASS {
				t.Errorf("%s with %s: %+v; best is %+v", p.cc, driver, c, all[0])
			}
		}
	}
	if c, _ := Choose(m, hostWith("520.61.05", "9.0"), ChooseOptions{}); c != nil {
		t.Errorf("the matrix's only hole, Hopper on R520, is served by %+v", c)
	}
}

func TestAnH100WithEachCell(t *testing.T) {
	_, all := Choose(matrixRelease(), hostWith("580.159.04", "9.0"), ChooseOptions{})
	got := map[string]string{}
	for _, c := range all {
		got[c.Bundle] = c.Verdict
		if c.Verdict == facts.VerdictRefused && c.Reasons[0].CUDAError != 209 {
			t.Errorf("%s: %+v", c.Bundle, c.Reasons[0])
		}
	}
	want := map[string]string{"cuda11.8-all": "refused", "cuda12.8-all": "native", "cuda11.8-sm75": "refused", "cuda12.4-sm75": "refused", "cuda11.8-legacy": "refused",
		"cuda12.4-ampere-ada": "refused", "cuda12.4-sm90": "native", "cuda12.8-blackwell": "jit", "cuda12.8-default": "jit"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestTheOrderOfPreference(t *testing.T) {
	sass := func(toolkit string) facts.File { return cudaFile(toolkit, own(1, "86")) }
	ptx := func(toolkit string) facts.File { return cudaFile(toolkit, own(1, "p80@8.0")) }
	h := hostWith("535.104.05", "8.6")
	for name, c := range map[string]struct {
		r    *release
		o    ChooseOptions
		want string
	}{
		"machine code before PTX, whatever its size":                   {newRelease().cell("small", "12.0.1", 1, ptx("12.0")).cell("big", "12.0.1", 999, sass("12.0")), ChooseOptions{}, "big"},
		"then fewer bytes":                                             {newRelease().cell("big", "12.2.2", 999, sass("12.2")).cell("small", "11.8.0", 1, sass("11.8")), ChooseOptions{}, "small"},
		"what is installed costs nothing":                              {newRelease().cell("big", "12.2.2", 999, sass("12.2")).cell("small", "11.8.0", 1, sass("11.8")), ChooseOptions{Installed: map[string]bool{digest("big"): true}}, "big"},
		"then what the driver's CUDA covers":                           {newRelease().cell("leaning", "12.8.1", 5, sass("12.8")).cell("covered", "11.8.0", 5, sass("11.8")), ChooseOptions{}, "covered"},
		"then the newest":                                              {newRelease().cell("older", "11.8.0", 5, sass("11.8")).cell("newer", "12.2.2", 5, sass("12.2")), ChooseOptions{}, "newer"},
		"one that is marked as faster on this GPU, whatever it weighs": {newRelease().cell("small", "11.8.0", 5, sass("11.8")).cell("fast", "12.2.2", 900, sass("12.2")).faster("fast", "86"), ChooseOptions{}, "fast"},
		"a mark for another GPU counts for nothing":                    {newRelease().cell("small", "11.8.0", 5, sass("11.8")).cell("fast", "12.2.2", 900, sass("12.2")).faster("fast", "89"), ChooseOptions{}, "small"},
		"of two that are marked the smaller":                           {newRelease().cell("a", "12.4.1", 900, sass("12.4")).cell("fast", "12.2.2", 800, sass("12.2")).faster("fast", "86").faster("a", "86"), ChooseOptions{}, "fast"},
		"a mark does not make PTX better than machine code":            {newRelease().cell("sass", "11.8.0", 900, sass("11.8")).cell("fast", "12.2.2", 5, cudaFile("12.2", own(1, "p80@8.2"))).faster("fast", "86"), ChooseOptions{}, "sass"},
		"then the id":                         {newRelease().cell("b", "12.2.2", 5, sass("12.2")).cell("a", "12.2.2", 5, sass("12.2")), ChooseOptions{}, "a"},
		"the CPU build where it is asked for": {newRelease().cell("gpu", "12.2.2", 5, sass("12.2")).cell("cpu", "", 9, facts.File{Path: "libggml-cpu.so"}), ChooseOptions{CPU: true}, "cpu"},
		"never the CPU build in silence":      {newRelease().cell("gpu", "13.0.2", 5, sass("13.0")).cell("cpu", "", 9, facts.File{Path: "libggml-cpu.so"}), ChooseOptions{}, ""},
	} {
		for range 2 {
			got := ""
			d := Decide(c.r.m, h, c.o)
			if d.Choice != nil {
				got = d.Choice.Bundle
			} else if d.Explanation == "" {
				t.Errorf("%s: nothing chosen and nothing said", name)
			}
			if got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
			slices.Reverse(c.r.m.Bundles)
		}
	}
}

func TestARefusedBundleIsChosenOnlyWhereItIsWantedSo(t *testing.T) {
	r := newRelease().cell("ptx", "12.8.1", 5, cudaFile("12.8", own(1, "p80@8.7")))
	h := hostWith("535.104.05", "8.6")
	if d := Decide(r.m, h, ChooseOptions{Unknown: true}); d.Choice != nil {
		t.Errorf("chosen unasked: %+v", d.Choice)
	}
	d := Decide(r.m, h, ChooseOptions{Refused: true})
	if d.Choice == nil || d.Choice.Bundle != "ptx" || d.Candidates[0].Verdict != facts.VerdictRefused || d.Candidates[0].Reasons[0].CUDAError != 222 {
		t.Errorf("%+v", d)
	}
	h.GPUs = []facts.GPU{} // without a GPU there is nothing to try
	if d := Decide(r.m, h, ChooseOptions{Refused: true}); d.Choice != nil {
		t.Errorf("chosen without a GPU: %+v", d.Choice)
	}
}

func TestWithoutAGPUTheCPUBuildIsChosenAndSaysSo(t *testing.T) {
	r := newRelease().cell("gpu", "12.2.2", 5, cudaFile("12.2", own(1, "86"))).cell("cpu", "", 9, facts.File{Path: "libggml-cpu.so"})
	h := hostWith("", []string{}...)
	h.Driver = nil
	d := Decide(r.m, h, ChooseOptions{})
	if d.Choice == nil || d.Choice.Bundle != "cpu" || d.Choice.Via != "cpu" || !strings.Contains(d.Explanation, "no NVIDIA GPU") || d.Fetch != 9 {
		t.Errorf("%+v", d)
	}
	for _, c := range d.Candidates {
		if !slices.Contains(codes(c.Reasons), facts.NoGPU) {
			t.Errorf("%s: %v", c.Bundle, codes(c.Reasons))
		}
	}
	h.GPUs = []facts.GPU{{CC: "8.6", Visible: true}} // a GPU without a driver is not "no GPU"
	if d := Decide(r.m, h, ChooseOptions{}); d.Choice != nil {
		t.Errorf("chosen in silence: %+v", d.Choice)
	}
}

func TestTheHostsLibrariesAreUsedWhereTheyFit(t *testing.T) {
	m := matrixRelease()
	c, _ := Choose(m, colab("550.54.15"), ChooseOptions{})
	if c.Bundle != "cuda12.4-sm75" || c.Runtime != bundles.RuntimeHost || c.Via != facts.ViaSASS || len(c.Hide) != 0 || c.Hide == nil {
		t.Errorf("Colab: %+v", c)
	}
	h := colab("550.54.15")
	h.Libs = nil
	if c, _ := Choose(m, h, ChooseOptions{}); c.Runtime != digest("cublas-12.4") || c.Bundle != "cuda12.4-sm75" {
		t.Errorf("without libraries: %+v", c)
	}
	installed := ChooseOptions{Installed: map[string]bool{digest("cublas-11.8"): true, digest("cuda11.8-sm75"): true}}
	if c, _ := Choose(m, h, installed); c.Bundle != "cuda11.8-sm75" {
		t.Errorf("what is installed: %+v", c)
	}
	h = colab("550.54.15")
	pruned := cudaFile("12.4", theirs(5, "80"))
	o := ChooseOptions{HostFiles: map[string]facts.File{h.Libs[0].Path: pruned}}
	if c, _ := Choose(m, h, o); c == nil || c.Runtime == bundles.RuntimeHost {
		t.Errorf("a host copy that was inspected and lacks sm_75: %+v", c)
	}
}

func TestMixedGPUsGetOneBundleOrAProposal(t *testing.T) {
	m := matrixRelease()
	if c, _ := Choose(m, hostWith("550.54.15", "6.1", "8.6"), ChooseOptions{}); c == nil || c.Via != facts.ViaSASS || !strings.HasSuffix(c.Bundle, "-all") {
		t.Errorf("6.1 and 8.6: %+v", c)
	}
	r := newRelease().cell("pascal", "12.4.1", 5, cudaFile("12.4", own(1, "61"))).cell("ampere", "12.4.1", 9, cudaFile("12.4", own(1, "86")))
	h := hostWith("550.54.15", "6.1", "8.6", "8.6")
	d := Decide(r.m, h, ChooseOptions{})
	if d.Choice != nil || d.Proposal == nil || d.Proposal.Bundle != "ampere" || !slices.Equal(d.Proposal.Hide, []int{0}) {
		t.Fatalf("%+v", d)
	}
	told := false
	for _, c := range d.Candidates {
		for _, r := range c.Reasons {
			told = told || strings.Contains(r.Fix, "CUDA_VISIBLE_DEVICES=GPU-1,GPU-2")
		}
	}
	if !told {
		t.Error("no reason says what to type")
	}
	if d := Decide(r.m, h, ChooseOptions{Hide: true}); d.Choice == nil || d.Choice.Bundle != "ampere" || !slices.Equal(d.Choice.Hide, []int{0}) || d.Choice.Via != facts.ViaSASS {
		t.Errorf("asked to hide: %+v", d.Choice)
	}
}

func TestFixturesAndUnknownsAreChosenOnlyWhenAskedFor(t *testing.T) {
	r := newRelease().cell("fixture", "12.4.1", 5, cudaFile("12.4", own(1, "86")))
	r.m.Bundles[0].Source.Fixture = true
	h := hostWith("550.54.15", "8.6")
	d := Decide(r.m, h, ChooseOptions{})
	if d.Choice != nil || d.Candidates[0].Verdict != facts.VerdictNative || !strings.Contains(d.Explanation, "fixture") {
		t.Errorf("%+v", d)
	}
	if c, _ := Choose(r.m, h, ChooseOptions{Fixture: true}); c == nil {
		t.Error("a fixture that is asked for is not chosen")
	}
	h.GPUs[0].CC = ""
	if c, all := Choose(r.m, h, ChooseOptions{Fixture: true}); c != nil || all[0].Verdict != facts.VerdictUnknown {
		t.Errorf("unknown: %+v %s", c, all[0].Verdict)
	}
	if c, _ := Choose(r.m, h, ChooseOptions{Fixture: true, Unknown: true}); c == nil {
		t.Error("an unknown that is asked for is not chosen")
	}
}

// randomManifest has bundles of the random devices.
func randomManifest(seed uint64, n int) *bundles.Manifest {
	r := rand.New(rand.NewPCG(seed, 7))
	rel := newRelease()
	files := devices(60)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range n {
		f := files[names[r.IntN(len(names))]]
		rel.cell(fmt.Sprintf("b%03d", i), f.Device.Toolkit, int64(r.IntN(5)), f)
	}
	return rel.m
}

func TestChoicesHoldTheirProperties(t *testing.T) {
	rank := func(v string) int { return slices.Index(verdictOrder[:], v) }
	hosts := map[string][]string{"7.5": nil, "8.6": nil, "9.0": nil, "6.1": nil, "12.0": nil, "8.7": nil}
	for seed := range uint64(3) {
		m := randomManifest(seed, 30)
		shuffled := *m
		shuffled.Bundles = slices.Clone(m.Bundles)
		rand.New(rand.NewPCG(seed, 9)).Shuffle(len(shuffled.Bundles), func(i, j int) {
			shuffled.Bundles[i], shuffled.Bundles[j] = shuffled.Bundles[j], shuffled.Bundles[i]
		})
		fewer := *m
		fewer.Bundles = m.Bundles[:len(m.Bundles)-1]
		for cc := range hosts {
			before := map[string]string{}
			for _, b := range table().Branches() {
				h := hostWith(b.Branch+".99.01", cc)
				c1, all := Choose(m, h, ChooseOptions{})
				c2, again := Choose(&shuffled, h, ChooseOptions{})
				if !reflect.DeepEqual(c1, c2) || !reflect.DeepEqual(all, again) {
					t.Fatalf("the order of the manifest matters on %s with %s:\n%s", cc, b.Branch, cmp.Diff(c1, c2)+cmp.Diff(all, again))
				}
				with, without := facts.VerdictRefused, facts.VerdictRefused
				if c1 != nil {
					with = all[0].Verdict
				}
				if c3, rest := Choose(&fewer, h, ChooseOptions{}); c3 != nil {
					without = rest[0].Verdict
				}
				if rank(with) > rank(without) {
					t.Fatalf("another bundle made %s with %s worse: %s, before %s", cc, b.Branch, with, without)
				}
				for _, c := range all {
					if c.Verdict == facts.VerdictRefused && len(c.Reasons) == 0 || c.Verdict == facts.VerdictUnknown && len(c.Reasons) == 0 {
						t.Fatalf("%s on %s with %s: %s without a reason", c.Bundle, cc, b.Branch, c.Verdict)
					}
					dropped := slices.Contains(codes(c.Reasons), facts.GPUDropped)
					if old := before[c.Bundle]; old != "" && rank(c.Verdict) > rank(old) && !dropped {
						t.Fatalf("%s on %s: the newer driver %s turned %s into %s", c.Bundle, cc, b.Branch, old, c.Verdict)
					}
					before[c.Bundle] = c.Verdict
				}
			}
		}
	}
}

func BenchmarkChooseAmong1000(b *testing.B) {
	m := randomManifest(1, 1000)
	for _, h := range []facts.Host{hostWith("535.104.05", "7.5"), hostWith("580.82.07", "8.6", "8.6")} {
		b.Run(h.Driver.Kernel, func(b *testing.B) {
			for b.Loop() {
				Choose(m, h, ChooseOptions{})
			}
		})
	}
}

// turingRelease is one bundle for T4 and A100 with all ways to its runtime: the
// lean part is pruned to what serves 7.5.
func turingRelease(t *testing.T) *bundles.Manifest {
	t.Helper()
	r := newRelease().
		runtime("stock-11.8", "11.8", 400*mb, theirs(60, "70 80"), theirs(40, "75 80")).
		runtime("lean-11.8", "11.8", 50*mb).
		cell("cuda11.8-all", "11.8.0", 20*mb, cudaFile("11.8", own(143, "75 80")), bundles.RuntimeHost, "lean-11.8", "stock-11.8")
	lean, err := LeanOf("cublas-11.11.3.6", []facts.File{byDigest(cudaFile("11.8", known(theirs(60, "70 80"), "a1", "b1"), known(theirs(40, "75 80"), "c1", "d1")))}, []CC{{7, 5}})
	if err != nil {
		t.Fatal(err)
	}
	kept := byDigest(cudaFile("11.8", known(theirs(60, "70"), "a1"), known(theirs(40, "75"), "c1")))
	kept.Path = "libcublas.so.11"
	p := r.m.Parts[digest("lean-11.8")]
	p.Form, p.Lean, p.Files = "lean", lean, []facts.File{kept}
	p.Floors = PartFloorsOf(p)
	r.m.Parts[digest("lean-11.8")] = p
	return r.m
}

func TestTheRuntimeIsTheHostsElseTheLeanElseTheStockOne(t *testing.T) {
	m := turingRelease(t)
	gpus := func(ccs ...string) []facts.GPU {
		var list []facts.GPU
		for i, cc := range ccs {
			list = append(list, facts.GPU{Index: i, CC: cc, Visible: true})
		}
		return list
	}
	none := []facts.HostLib{}
	fits := []facts.HostLib{{Soname: "libcublas.so.11", Path: "/usr/local/cuda/lib64/libcublas.so.11", Version: "11.11.3.6"}}
	for name, c := range map[string]struct {
		gpus    []facts.GPU
		libs    []facts.HostLib
		files   map[string]facts.File
		form    string
		because string
		fetch   int64
	}{
		"the host has what it needs":             {gpus("7.5"), fits, nil, "host", "", 20 * mb},
		"the host has nothing, a T4":             {gpus("7.5"), none, nil, "lean", "This host has no libcublas.so.11.", 70 * mb},
		"the host has nothing, two T4":           {gpus("7.5", "7.5"), none, nil, "lean", "This host has no libcublas.so.11.", 70 * mb},
		"the host has nothing, an A100":          {gpus("8.0"), none, nil, "stock", "This host has no libcublas.so.11. libcublas.so.11 has no code for compute capability 8.0", 420 * mb},
		"the host has nothing, a T4 and an A100": {gpus("7.5", "8.0"), none, nil, "stock", "This host has no libcublas.so.11. ", 420 * mb},
		"the host's library has no code for it":  {gpus("7.5"), fits, map[string]facts.File{fits[0].Path: byDigest(cudaFile("11.8", known(theirs(100, "80"), "b1")))}, "lean", "7.5", 70 * mb},
		"the host's library is too old":          {gpus("7.5"), []facts.HostLib{{Soname: "libcublas.so.11", Path: "/a/libcublas.so.11", Version: "11.2"}}, nil, "lean", "This host has no libcublas.so.11 11.8 or newer.", 70 * mb},
	} {
		h := colab("550.54.15")
		h.GPUs, h.Libs = c.gpus, c.libs
		d := Decide(m, h, ChooseOptions{HostFiles: c.files})
		if d.Choice == nil {
			t.Errorf("%s: nothing chosen: %+v", name, d.Candidates)
			continue
		}
		if d.Choice.RuntimeForm != c.form || !strings.Contains(d.Choice.RuntimeBecause, c.because) || (c.because == "") != (d.Choice.RuntimeBecause == "") || d.Fetch != c.fetch {
			t.Errorf("%s: %s because %q, %d MB; want %s because %q, %d MB", name, d.Choice.RuntimeForm, d.Choice.RuntimeBecause, d.Fetch/mb, c.form, c.because, c.fetch/mb)
		}
		chosen := 0
		for _, r := range d.Candidates[0].Runtimes {
			if r.Text == "" {
				t.Errorf("%s: %s has no reason", name, r.Form)
			}
			if r.Chosen {
				chosen++
			}
		}
		if chosen != 1 {
			t.Errorf("%s: %d runtimes chosen of %+v", name, chosen, d.Candidates[0].Runtimes)
		}
	}
}

package compat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
)

// known marks a group as told by digest; images get the digests, in their order.
func known(g facts.Group, digests ...string) facts.Group {
	for i := range g.Images {
		g.Images[i].Digest = strings.Repeat("0", 32-len(digests[i])) + digests[i]
	}
	return g
}

func byDigest(f facts.File) facts.File {
	f.Device.NVIDIA = &facts.NVIDIA{By: facts.ByDigest, Of: []string{"cublas-11.11.3.6"}}
	return f
}

// full is a library with cuBLAS linked in; 100 units of it run on 7.5, of which
// 60 by code for 7.0.
func full() facts.File {
	return byDigest(cudaFile("11.8", own(143, "75"), known(theirs(60, "70 80"), "a1", "b1"), known(theirs(40, "70 75"), "c1", "d1"), known(theirs(700, "80"), "ff")))
}

func TestWhatADriverWouldChooseOfNVIDIAsUnits(t *testing.T) {
	all, ok := Selected([]facts.File{full()}, CC{7, 5})
	if !ok || all.Units != 100 {
		t.Fatalf("got %+v, %v, want 100 units", all, ok)
	}
	for name, c := range map[string]struct {
		file facts.File
		same bool
	}{
		"pruned to 70 and 75": {byDigest(cudaFile("11.8", own(143, "75"), known(theirs(60, "70"), "a1"), known(theirs(40, "70 75"), "c1", "d1"), empty(700))), true},
		"grouped otherwise":   {byDigest(cudaFile("11.8", known(theirs(100, "70"), "172"))), true}, // a1 + d1
		"pruned to 75 alone":  {byDigest(cudaFile("11.8", own(143, "75"), known(theirs(40, "75"), "d1"), empty(760))), false},
		"pruned to 70 alone":  {byDigest(cudaFile("11.8", own(143, "75"), known(theirs(60, "70"), "a1"), known(theirs(40, "70"), "c1"), empty(700))), false},
		"another image":       {byDigest(cudaFile("11.8", known(theirs(60, "70"), "a2"), known(theirs(40, "75"), "d1"))), false},
	} {
		if got, ok := Selected([]facts.File{c.file}, CC{7, 5}); !ok || (got == all) != c.same {
			t.Errorf("%s: got %+v, %v; the same as before: want %v", name, got, ok, c.same)
		}
	}
	halves := []facts.File{byDigest(cudaFile("11.8", known(theirs(60, "70 80"), "a1", "b1"))), byDigest(cudaFile("11.8", known(theirs(40, "70 75"), "c1", "d1")))}
	if got, ok := Selected(halves, CC{7, 5}); !ok || got != all {
		t.Errorf("two libraries give %+v, one gave %+v", got, all)
	}
	for name, f := range map[string]facts.File{
		"nothing of theirs":        cudaFile("11.8", own(1, "75")),
		"theirs by name only":      cudaFile("11.8", theirs(1, "75")),
		"called theirs, no proof":  cudaFile("11.8", known(theirs(1, "75"), "1"), facts.Group{Units: 1, Owner: facts.OwnerUnknown, Images: images("75")}),
		"groups that are left out": {Path: "a", Device: &facts.Device{Units: 9}},
	} {
		if got, ok := Selected([]facts.File{f}, CC{7, 5}); ok {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestARecordOfPruningIsHeldAgainstTheFiles(t *testing.T) {
	lean, err := LeanOf("cublas-11.11.3.6", []facts.File{full()}, []CC{{7, 5}})
	if err != nil {
		t.Fatal(err)
	}
	runs := `{"cc":"7.5","via":"sass","min_cuda":"11.0","min_driver":"450.80.02","because":["cudart-11"],"sure":"doc"}
{"cc":"1.0+","via":"none","because":["runtime-lacks-sm"],"sure":"doc"}
`
	lost := `{"cc":"1.0+","via":"none","because":["runtime-lacks-sm"],"sure":"doc"}
`
	for name, c := range map[string]struct {
		file facts.File
		want string
	}{
		"pruned to 70 and 75": {byDigest(cudaFile("11.8", own(143, "75"), known(theirs(60, "70"), "a1"), known(theirs(40, "75"), "d1"), empty(700))), runs},
		"pruned to 75 alone":  {byDigest(cudaFile("11.8", own(143, "75"), known(theirs(40, "75"), "d1"), empty(760))), lost},
	} {
		if d := cmp.Diff(c.want, lines(t, PartFloorsOf(bundles.Part{Files: []facts.File{c.file}, Lean: lean}))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if _, err := LeanOf("cublas", []facts.File{full()}, []CC{{3, 5}}); err == nil || !strings.Contains(err.Error(), "3.5") {
		t.Errorf("a promise for 3.5 gave %v", err)
	}
	if _, err := LeanOf("cublas", []facts.File{cudaFile("11.8", own(1, "75"))}, []CC{{7, 5}}); err == nil {
		t.Error("a record was made of a library without NVIDIA's units")
	}
}

func TestNVIDIAsUnitsInALibrary(t *testing.T) {
	floor := func(sure string, because ...string) string {
		return `{"cc":"7.0-7.x","except":["7.2"],"via":"sass","min_cuda":"12.0","min_driver":"525.60.13","because":["cudart-12"` +
			strings.Join(append([]string{""}, because...), `,"`) + `],"sure":"` + sure + "\"}\n"
	}
	shrunk := known(theirs(5, "70"), "1")
	shrunk.Pruned = true
	defineNothing := known(theirs(9, "70"), "2")
	defineNothing.Empty = true
	unproven := facts.Group{Units: 5, Owner: facts.OwnerUnknown, Images: images("70")}
	for name, c := range map[string]struct {
		file facts.File
		want string
	}{
		"stock, by digest":                   {byDigest(cudaFile("12.4", known(theirs(5, "70"), "1"), defineNothing)), floor("doc")},
		"linked in and whole":                {byDigest(cudaFile("12.4", own(143, "70"), known(theirs(5, "70"), "1"))), floor("doc")},
		"linked in, one image fewer":         {byDigest(cudaFile("12.4", own(143, "70"), shrunk)), floor("false", `unknown-lean"`)},
		"linked in, a unit pruned to naught": {byDigest(cudaFile("12.4", own(143, "70"), known(theirs(5, "70"), "1"), empty(1))), floor("false", `unknown-lean"`)},
		"by name":                            {cudaFile("12.4", theirs(5, "70")), floor("single")},
		"by name beside ours":                {cudaFile("12.4", theirs(5, "70"), own(1, "70")), floor("false", `unknown-lean"`)},
		"called so without a proof":          {cudaFile("12.4", unproven), floor("false", `unknown-lean"`)},
	} {
		want := strings.ReplaceAll(c.want, `""]`, `"]`)
		if d := cmp.Diff(want, lines(t, Floors(c.file))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	// Own units are judged strictly whatever NVIDIA's can do.
	f := byDigest(cudaFile("12.4", own(2, "80"), own(1, "70 80"), known(theirs(5, "70 80"), "1", "2")))
	if floor, ok := Lookup(Floors(f), CC{7, 5}); ok && floor.Via != facts.ViaNone {
		t.Errorf("two of our units lack an image for 7.5, and yet: %+v", floor)
	}
	if floor, ok := Lookup(Floors(f), CC{8, 6}); !ok || floor.Via != facts.ViaSASS || floor.Sure != "doc" {
		t.Errorf("8.6: %+v", floor)
	}
}

package main

import (
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
)

// cublas is a library with one unit of NVIDIA's that runs on 7.5 by code for sm.
func cublas(sm, digest string) []facts.File {
	return []facts.File{{Path: "libcublas.so.11", Device: &facts.Device{Units: 1, NVIDIA: &facts.NVIDIA{By: facts.ByDigest, Of: []string{"cublas-11.11.3.6"}},
		Groups: []facts.Group{{Units: 1, Owner: facts.OwnerNVIDIA, Images: []facts.Image{{Kind: facts.KindSASS, SM: sm, Compression: "lz4", Digest: digest}}}}}}}
}

func TestARecordOfPruningIsReadBack(t *testing.T) {
	const digest = "000000000000000000000000000000a1"
	lean, err := compat.LeanOf("cublas-11.11.3.6", cublas("70", digest), []compat.CC{{Major: 7, Minor: 5}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files []facts.File
		wrong bool
	}{
		"what was recorded":       {cublas("70", digest), false},
		"another image":           {cublas("70", "000000000000000000000000000000a2"), true},
		"an image for other GPUs": {cublas("80", digest), true},
		"no facts of NVIDIA's":    {nil, true},
	} {
		report := facts.Report{Files: c.files}
		part := appPart("lean.tar.zst", bundles.Packed{}, report)
		part.Kind, part.Form, part.Lean = bundles.PartRuntime, "lean", lean
		part.Floors = compat.PartFloorsOf(part)
		var v verdict
		if err := v.facts("llcuda-build "+version, part, partRead{report: report}); err != nil {
			t.Fatal(err)
		}
		got := false
		for _, m := range v.misses {
			got = got || strings.HasPrefix(m.Field, "lean.selected")
		}
		if got != c.wrong {
			t.Errorf("%s: the record is said to be wrong: %v, want %v (%+v)", name, got, c.wrong, v.misses)
		}
	}
}

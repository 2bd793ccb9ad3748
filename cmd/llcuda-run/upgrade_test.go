package main

import (
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
)

func TestWhatAnUpgradeChangesIsSaid(t *testing.T) {
	release := func(commit, toolkit, app string, ids ...string) *bundles.Manifest {
		m := &bundles.Manifest{}
		for _, id := range ids {
			m.Bundles = append(m.Bundles, bundles.Bundle{ID: id, Toolkit: toolkit, App: app, Source: bundles.Source{Commit: commit}})
		}
		return m
	}
	for _, c := range []struct {
		name     string
		old, now *bundles.Manifest
		want     string
	}{
		{"another llama.cpp", release("aaaaaaaaaaaa", "12.4", "a", "x"), release("bbbbbbbbbbbb", "12.4", "b", "x"), "llama.cpp aaaaaaaaa → bbbbbbbbb"},
		{"another toolkit", release("a", "12.4", "a", "x"), release("a", "12.8", "b", "x"), "CUDA 12.4 → 12.8"},
		{"nothing of ours", release("a", "12.4", "a", "x"), release("a", "12.4", "a", "x"), "the same llama.cpp, byte for byte"},
		{"bundles that came and went", release("a", "1", "a", "x", "old"), release("a", "1", "b", "x", "y", "z"), "new bundles: y, z; no longer: old"},
		{"a bundle that is new itself", release("a", "1", "a", "old"), release("a", "1", "b", "x"), "new bundles: x; no longer: old"},
	} {
		if got := strings.Join(changes(c.old, c.now, c.now.Bundles[0]), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

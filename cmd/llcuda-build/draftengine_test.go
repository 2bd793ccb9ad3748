//go:build engine

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
)

// A draft compiles what changed, and makes what a build from nothing makes.
func TestADraftIsTheSameFilesInLessTime(t *testing.T) {
	ref := image(t, "LLCUDA_TEST_CUDA124")
	const cell = "cuda12.4-sm86"
	source, root := t.TempDir(), t.TempDir()
	if err := os.CopyFS(source, os.DirFS("../../testdata/fixture")); err != nil {
		t.Fatal(err)
	}
	make := func(out string, more ...string) string {
		t.Helper()
		code, _, said := program(t, append([]string{"build", cell, "--source", source, "--image", "12.4=" + ref, "--runtime", "host", "--out", filepath.Join(root, out)}, more...)...)
		if code != 0 {
			t.Fatalf("exit %d\n%s", code, said)
		}
		log, err := os.ReadFile(filepath.Join(root, out, "logs", cell+".log"))
		if err != nil {
			t.Fatal(err)
		}
		return string(log)
	}
	make("draft", "--draft")
	// New to every cache, so that nothing but the compiler can have made it.
	unit := filepath.Join(source, "ggml-cuda", "scale.cu")
	if err := appendTo(unit, "\n__global__ void fixture_draft(int *x) { *x = 1; }\n// "+t.TempDir()+"\n"); err != nil {
		t.Fatal(err)
	}
	log := make("draft", "--draft")
	if n := strings.Count(log, "Building "); n != 1 || !strings.Contains(log, "scale.cu.o") {
		t.Errorf("%d files were compiled for one that changed:\n%s", n, log)
	}
	f, err := bundles.ReadFragment(bundles.FragmentPath(filepath.Join(root, "draft"), cell))
	if err != nil || !f.Bundle.Draft {
		t.Errorf("it does not say that it is a draft: %v, %+v", err, f.Bundle)
	}
	make("plain", "--no-cache")
	differ, of, err := compareFolders(filepath.Join(root, "plain", "cells", cell), filepath.Join(root, "draft", "cells", cell))
	if err != nil || of < 20 || len(differ) != 1 || !strings.Contains(differ[0], bundles.InfoName) {
		t.Errorf("of %d files more than %s differ from those of a build from nothing: %v, %q", of, bundles.InfoName, err, differ)
	}
	code, _, said := program(t, "publish", "v1", filepath.Join(root, "draft"), "--to", "github:owner/repo")
	if code != cli.ExitFailed || !strings.Contains(said, "bundle "+cell+" is not for GitHub: it is a draft, ") {
		t.Errorf("exit %d\n%s", code, said)
	}
	// A plain build is not taken for unchanged because of a draft, nor the other way round.
	if log := make("draft"); !strings.Contains(log, "scale.cu.o") {
		t.Errorf("a draft was taken for a build:\n%s", log)
	}
}

//go:build engine && lean

package main

// These take minutes and gigabytes (nvprune and the linking of a whole cuBLAS): they
// have a tag of their own, and make soak runs them.

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

// buildLean builds the fixture's cell for 7.5 with a lean runtime out of the real
// static cuBLAS of CUDA 11.8, by a matrix in which texts are replaced.
func buildLean(t *testing.T, out string, replace ...string) (code int, said string) {
	t.Helper()
	text := string(matrix.Default())
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the matrix has no %q", replace[i])
		}
		text = strings.Replace(text, replace[i], replace[i+1], 1)
	}
	file := filepath.Join(t.TempDir(), "cuda.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, said = program(t, "build", "cuda11.8-sm75", "--matrix", file, "--source", "../../testdata/fixture",
		"--image", "11.8="+image(t, "LLCUDA_TEST_CUDA118"), "--out", out, "--runtime", "host,lean")
	return code, said
}

func TestARealCuBLASPrunedTo75AloneNeverBecomesAPart(t *testing.T) {
	// A toolkit that is said to have no sm_70 and no sm_72: nvprune keeps 75 alone.
	out := t.TempDir()
	code, said := buildLean(t, out,
		`sms: ["35", "37", "50", "52", "53", "60", "61", "62", "70", "72", "75", "80", "86", "87", "89", "90"]`,
		`sms: ["35", "37", "50", "52", "53", "60", "61", "62", "75", "80", "86", "87", "89", "90"]`,
		`sms: ["50", "60", "61", "70", "75", "80", "86", "89"]`, `sms: ["50", "60", "61", "75", "80", "86", "89"]`,
		`sms: ["50", "60", "61", "70"]`, `sms: ["50", "60", "61"]`,
		`  - {cc: "7.0", driver: "450.80.02", until: "580", glibc: "2.28"}`+"\n", "")
	if code != cli.ExitFailed || !strings.Contains(said, "on compute capability 7.5 NVIDIA's cublas-11.11.3.6 runs code of") || !strings.Contains(said, "kernels are gone") {
		t.Errorf("exit %d\n%s", code, said)
	}
	if left, err := filepath.Glob(filepath.Join(out, "*.tar.zst")); err != nil || len(left) > 0 {
		t.Errorf("it left %q, %v", left, err)
	}
}

func TestARealLeanRuntime(t *testing.T) {
	out := t.TempDir()
	if code, said := buildLean(t, out); code != 0 {
		t.Fatalf("exit %d\n%s", code, said)
	}
	f, err := bundles.ReadFragment(bundles.FragmentPath(out, "cuda11.8-sm75"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Bundle.Runtime) != 2 || f.Bundle.Runtime[0] != bundles.RuntimeHost {
		t.Fatalf("its runtimes are %q", f.Bundle.Runtime)
	}
	part := f.Parts[f.Bundle.Runtime[1]]
	if part.Form != "lean" || part.Lean == nil || part.Lean.Of != "cublas-11.11.3.6" || part.Lean.Selected["7.5"].Units == 0 {
		t.Errorf("the part says %s, %+v", part.Form, part.Lean)
	}
	if code, _, stderr := program(t, "verify", filepath.Join(out, part.Name)); code != 0 {
		t.Errorf("verify of the part: exit %d\n%s", code, stderr)
	}
	if code, said := buildLean(t, out); code != 0 || !strings.Contains(said, "cuda11.8-sm75: unchanged: "+f.Parts[f.Bundle.App].Name) {
		t.Errorf("built again: exit %d\n%s", code, said)
	}
}

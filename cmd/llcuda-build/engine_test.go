//go:build engine

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

// The tests of this file compile the CUDA fixture with real nvcc through a real
// Dagger engine: scripts/test-engine.sh starts it and names the images.

func image(t *testing.T, variable string) string {
	t.Helper()
	ref := os.Getenv(variable)
	if ref == "" {
		t.Fatalf("%s is not set: run `make test-engine`", variable)
	}
	return ref
}

// build runs `llcuda-build build CELL` on the fixture with cmake arguments
// added to the matrix, and returns the exit code and what was said.
func build(t *testing.T, out, cell, toolkit, ref string, cmake ...string) (code int, said string) {
	t.Helper()
	const anchor = "    - -DGGML_CUDA_NCCL=OFF\n"
	text := string(matrix.Default())
	if !strings.Contains(text, anchor) {
		t.Fatalf("the matrix has no line %q to add arguments after", anchor)
	}
	added := anchor
	for _, arg := range cmake {
		added += "    - " + arg + "\n"
	}
	file := filepath.Join(t.TempDir(), "cuda.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(text, anchor, added, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := program(t, "build", cell, "--matrix", file, "--source", "../../testdata/fixture",
		"--image", toolkit+"="+ref, "--out", out, "--runtime", "host")
	return code, stderr
}

// program runs llcuda-build: testscript.Main has put it and its other half on PATH,
// side by side.
func program(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command("llcuda-build", args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if failed := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(failed)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func fragments(t *testing.T, out string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range found {
		if base := filepath.Base(f); base != "logs" && base != "cells" && base != extraDir {
			names = append(names, base)
		}
	}
	return names
}

func TestAWrongBuildNeverBecomesABundle(t *testing.T) {
	ref := image(t, "LLCUDA_TEST_CUDA118")
	for _, c := range []struct {
		name  string
		cmake []string
		want  []string
	}{
		{"PTX where machine code was promised", []string{"-DFIXTURE_ARCHS=75-virtual"},
			[]string{"sm_75", "libggml-cuda.so", "PTX only"}},
		{"one translation unit without sm_75", []string{"-DFIXTURE_ODD_ARCH=80-real"},
			[]string{"sm_75", "libggml-cuda.so", "1 of", "sm_80"}},
		{"a PTX-only library with a device-link stub", []string{"-DFIXTURE_ARCHS=75-virtual", "-DFIXTURE_RDC=ON"},
			[]string{"sm_75", "libggml-cuda.so", "PTX only"}},
		{"PTX that nobody promised", []string{"-DFIXTURE_ARCHS=75"},
			[]string{"compute_75", "libggml-cuda.so", "does not promise"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir()
			code, said := build(t, out, "cuda11.8-sm75", "11.8", ref, c.cmake...)
			if code != cli.ExitFailed {
				t.Errorf("exit %d, want %d", code, cli.ExitFailed)
			}
			for _, w := range c.want {
				if !strings.Contains(said, w) {
					t.Errorf("it does not say %q", w)
				}
			}
			if t.Failed() {
				t.Log(said)
			}
			left := fragments(t, out)
			bills, err := filepath.Glob(filepath.Join(out, extraDir, "*"))
			if len(left)+len(bills) > 0 || err != nil {
				t.Errorf("it left %q, %q, %v", left, bills, err)
			}
		})
	}
}

func TestBothToolkitsPassEndToEnd(t *testing.T) {
	for _, c := range []struct{ cell, toolkit, image, sm string }{
		{"cuda11.8-sm75", "11.8", "LLCUDA_TEST_CUDA118", "75"},
		{"cuda12.4-sm86", "12.4", "LLCUDA_TEST_CUDA124", "86"},
	} {
		t.Run(c.cell, func(t *testing.T) {
			out := t.TempDir()
			ref := image(t, c.image)
			if code, said := build(t, out, c.cell, c.toolkit, ref); code != 0 {
				t.Fatalf("exit %d\n%s", code, said)
			}
			m, err := matrix.Load(matrix.DefaultName, matrix.Default())
			if err != nil {
				t.Fatal(err)
			}
			cell, err := m.Cell(c.cell)
			if err != nil {
				t.Fatal(err)
			}
			f, err := bundles.ReadFragment(bundles.FragmentPath(out, c.cell))
			if err != nil {
				t.Fatal(err)
			}
			said, err := os.ReadFile(filepath.Join(out, "logs", c.cell+".cuobjdump.txt"))
			if err != nil || !strings.HasPrefix(string(said), "cuobjdump "+c.toolkit) || !strings.Contains(string(said), "sm_"+c.sm+".cubin") {
				t.Errorf("the second witness's own words are not kept: %v\n%.300s", err, said)
			}
			standIn := ref != cell.Image
			if !f.Bundle.Source.Fixture || f.Bundle.Image.StandIn != standIn || f.Bundle.Image.Digest == "" {
				t.Errorf("the bundle does not say what it is: %+v", f.Bundle)
			}
			var cuda *facts.Device
			for _, file := range f.Parts[f.Bundle.App].Files {
				if file.Path == "libggml-cuda.so" {
					cuda = file.Device
				}
			}
			if cuda == nil {
				t.Fatal("libggml-cuda.so has no device facts")
			}
			if len(cuda.SASS) != 1 || cuda.SASS[0].SM != c.sm || cuda.SASS[0].Units != cuda.Units || cuda.Units != 5 || len(cuda.PTX) != 0 {
				text, _ := json.Marshal(cuda)
				t.Errorf("not five units of sm_%s alone: %s", c.sm, text)
			}
			if cuda.Toolkit != c.toolkit {
				t.Errorf("toolkit %q, want %q", cuda.Toolkit, c.toolkit)
			}
			// The same again asks nobody: there is no engine at this address.
			t.Setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", "unix://"+filepath.Join(out, "none.sock"))
			if code, said := build(t, out, c.cell, c.toolkit, ref); code != 0 || !strings.Contains(said, c.cell+": unchanged: ") {
				t.Errorf("the same again: exit %d\n%s", code, said)
			}
		})
	}
}

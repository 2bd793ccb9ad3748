//go:build engine && lean

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two folders, no cache: what nvcc and the compilers write into a file of where
// they ran is what the plan has to take out again.
func TestACellBuiltTwiceIsTheSameBytes(t *testing.T) {
	for _, c := range []struct{ cell, toolkit, image string }{
		{"cpu", "cpu", "LLCUDA_TEST_IMAGE"},
		{"cuda11.8-sm75", "11.8", "LLCUDA_TEST_CUDA118"},
		{"cuda12.4-sm86", "12.4", "LLCUDA_TEST_CUDA124"},
	} {
		t.Run(c.cell, func(t *testing.T) {
			code, stdout, stderr := program(t, "verify", "--rebuild", c.cell, "--matrix", "../../matrix/cuda.yaml",
				"--source", "../../testdata/fixture", "--image", c.toolkit+"="+image(t, c.image))
			if code != 0 || !strings.Contains(stdout, "built twice in different folders: the same") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// What ccache holds goes through a file, out of an engine and into one.
func TestTheCompilerCacheTravelsInAFile(t *testing.T) {
	ref := image(t, "LLCUDA_TEST_IMAGE")
	out := t.TempDir()
	file := filepath.Join(out, "ccache.tar")
	for _, args := range [][]string{
		{"build", "cpu", "--source", "../../testdata/fixture", "--out", out},
		{"ccache", "save", "cpu", file, "--max-size", "50M"},
		{"ccache", "load", "cpu", file},
		{"build", "cpu", "--source", "../../testdata/fixture", "--out", out},
	} {
		if code, stdout, stderr := program(t, append(args, "--matrix", "../../matrix/cuda.yaml", "--image", "cpu="+ref)...); code != 0 {
			t.Fatalf("%s: exit %d\n%s%s", args[0], code, stdout, stderr)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 10<<10 {
		t.Errorf("the file is no cache: %v, %v", info, err)
	}
	if err := os.WriteFile(file, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := program(t, "ccache", "load", "cpu", file, "--matrix", "../../matrix/cuda.yaml", "--image", "cpu="+ref); code == 0 {
		t.Error("nonsense was loaded")
	}
}

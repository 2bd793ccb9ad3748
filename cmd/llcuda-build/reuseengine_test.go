//go:build engine

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What one cell compiled for an SM the next one with that SM takes, and what comes of
// that is what comes of compiling everything.
func TestACellOfManySMsReusesWhatAThinOneCompiled(t *testing.T) {
	ref := image(t, "LLCUDA_TEST_CUDA124")
	source, root := t.TempDir(), t.TempDir()
	if err := os.CopyFS(source, os.DirFS("../../testdata/fixture")); err != nil {
		t.Fatal(err)
	}
	units, err := filepath.Glob(filepath.Join(source, "ggml-cuda", "*.cu"))
	if err != nil || len(units) != 5 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	// New to every cache.
	for i, unit := range units {
		if err := appendTo(unit, fmt.Sprintf("\n__global__ void fixture_%s_%d_%d(int *x) { *x = 1; }\n", rand.Text(), time.Now().UnixNano(), i)); err != nil {
			t.Fatal(err)
		}
	}
	// CUB makes names of the list of SMs; host and SM must know the same ones.
	withCUB := "\n#include <cub/util_type.cuh>\ntemplate <class T> __global__ void fixture_of(T) {}\nvoid fixture_start() { fixture_of<cub::NullType><<<1, 1>>>(cub::NullType()); }\n"
	if err := appendTo(units[0], withCUB); err != nil {
		t.Fatal(err)
	}
	// nvcc's name for what exports nothing is another in each build.
	instance := fmt.Sprintf("template <class T> __global__ void fixture_instance_%s(T *x) { *x = 1; }\ntemplate __global__ void fixture_instance_%[1]s<int>(int *);\n", rand.Text())
	if err := os.WriteFile(filepath.Join(source, "ggml-cuda", "instance.cu"), []byte(instance), 0o644); err != nil {
		t.Fatal(err)
	}
	lists := filepath.Join(source, "CMakeLists.txt")
	text, err := os.ReadFile(lists)
	if err != nil || strings.Count(string(text), " ggml-cuda/table.cu)") != 1 {
		t.Fatalf("the fixture's list of units: %v\n%s", err, text)
	}
	if err := os.WriteFile(lists, []byte(strings.Replace(string(text), " ggml-cuda/table.cu)", " ggml-cuda/table.cu ggml-cuda/instance.cu)", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	make := func(out, cell string, more ...string) (cells string, reused, all int) {
		t.Helper()
		out = filepath.Join(root, out)
		code, _, said := program(t, append([]string{"build", cell, "--source", source, "--image", "12.4=" + ref, "--runtime", "host", "--out", out}, more...)...)
		if code != 0 {
			t.Fatalf("exit %d\n%s", code, said)
		}
		if found := regexp.MustCompile(`: (\d+) of (\d+) runs of cicc and ptxas were reused`).FindStringSubmatch(said); found != nil {
			reused, _ = strconv.Atoi(found[1])
			all, _ = strconv.Atoi(found[2])
		}
		return filepath.Join(out, "cells", cell), reused, all
	}
	_, before, _ := make("thin", "cuda12.4-sm86")
	// CMake's own two programs may be known; the units are not.
	if before > 4 {
		t.Errorf("%d runs were reused where all was new", before)
	}
	many, reused, all := make("many", "cuda12.4-ampere-ada")
	// sm_80, sm_86 and sm_89 of six units: twelve runs each. The one with CUB is read anew.
	if all < 36 || reused < 10 {
		t.Errorf("%d of %d runs were reused: sm_86 was compiled again", reused, all)
	}
	plain, none, _ := make("plain", "cuda12.4-ampere-ada", "--no-cache")
	if none != 0 {
		t.Errorf("%d runs were reused with --no-cache", none)
	}
	if differ, of, err := compareFolders(plain, many); err != nil || of < 20 || len(differ) > 0 {
		t.Errorf("of %d files these are not those of compiling everything: %v, %q", of, err, differ)
	}
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

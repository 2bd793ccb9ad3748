package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestAPartsNameIsItsCellAndTheHeadOfItsDigest(t *testing.T) {
	if got, want := partName("cuda12.4-sm75", digest), "cuda12.4-sm75-0123456789ab.tar.zst"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAPartBelongsToItsOwnCellOnly(t *testing.T) {
	for name, c := range map[string]struct {
		file, cell string
		want       bool
	}{
		"its own":                                {partName("cpu", digest), "cpu", true},
		"another cell's":                         {partName("cpu", digest), "gpu", false},
		"a cell whose name begins with this one": {partName("cpu-old", digest), "cpu", false},
		"a cell whose name ends with this one":   {partName("cpu-old", digest), "old", false},
		"a name that this program does not give": {"cpu-0123456789AB.tar.zst", "cpu", false},
		"a digest cut short":                     {"cpu-0123456789a.tar.zst", "cpu", false},
		"no digest":                              {"cpu-.tar.zst", "cpu", false},
		"not a part":                             {"cpu.bundle.json", "cpu", false},
		"unfinished":                             {partName("cpu", digest) + ".tmp", "cpu", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := partOf(c.file, c.cell); got != c.want {
				t.Errorf("partOf(%q, %q) = %v", c.file, c.cell, got)
			}
		})
	}
}

func TestOldPartsOfACellGoAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	keep := partName("cpu", digest)
	old := partName("cpu", "sha256:"+strings.Repeat("f", 64))
	stays := []string{"cpu-mine.tar.zst", partName("cpu-old", digest), keep, "cpu.bundle.json"}
	for _, name := range append(stays, old) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := dropOldParts(dir, "cpu", keep); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{keep, "cpu-mine.tar.zst", partName("cpu-old", digest), "cpu.bundle.json"}, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestABundleNamesNoRegistryOfThisMachine(t *testing.T) {
	for ref, want := range map[string]string{
		"127.0.0.1:5000/llcuda/cuda:11.8-bullseye": "llcuda/cuda:11.8-bullseye",
		"localhost:5000/name:tag":                  "name:tag",
		"[::1]:5000/name@sha256:ab":                "name@sha256:ab",
		"nvidia/cuda:12.4.1-devel-rockylinux8":     "nvidia/cuda:12.4.1-devel-rockylinux8",
		"registry.example/127.0.0.1/name":          "registry.example/127.0.0.1/name",
		"debian:bullseye-slim":                     "debian:bullseye-slim",
		"":                                         "",
	} {
		if got := publicRef(ref); got != want {
			t.Errorf("publicRef(%q) = %q, want %q", ref, got, want)
		}
	}
}

func TestWhatACellWasBuiltIn(t *testing.T) {
	if got := imageRef(matrix.Plan{Image: "host"}, ci.Result{}); got != "host" {
		t.Errorf("on the host: %q", got)
	}
	if got := imageRef(matrix.Plan{Image: "a"}, ci.Result{ImageRef: "b"}); got != "b" {
		t.Errorf("in an image: %q", got)
	}
}

func TestErrorsNameTheirCellOnceAndKeepTheirCures(t *testing.T) {
	step := &ci.StepError{Cell: "cpu", Step: "build", ExitCode: 2, Tail: []string{"a.c:1: error: no", "stopped"}}
	if got, want := labelled("cpu", lastLines(step)).Error(), "cell cpu: step build failed with exit code 2:\na.c:1: error: no\nstopped"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	plain := errors.New("disk full")
	if got := lastLines(plain); !errors.Is(got, plain) {
		t.Errorf("%v", got)
	}
	misses := errors.Join(&cli.Error{Err: errors.New("one"), Cure: "do this", Code: 1}, &cli.Error{Err: errors.New("two"), Cure: "do that", Code: 1})
	var b strings.Builder
	cli.Report(&b, "x", 1, errors.Join(labelled("a", misses), labelled("b", plain)))
	if diff := cmp.Diff("x: error: cell a: one\nx: hint: do this\nx: error: cell a: two\nx: hint: do that\nx: error: cell b: disk full\n", b.String()); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

func TestAWorkFolderInUseIsNotSwept(t *testing.T) {
	out := t.TempDir()
	mine, err := newWorkDir(out, "cpu")
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(out, workPrefix+"cpu-left")
	other := filepath.Join(out, "cells")
	for _, dir := range []string{filepath.Join(left, "app"), other} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweepWorkDirs(out); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{mine.path: true, left: false, other: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
	mine.close()
	if _, err := os.Stat(mine.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed folder is still there: %v", err)
	}
}

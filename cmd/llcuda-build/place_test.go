package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

// finished is what a cell of the name "cpu" has in hand before it is placed.
func finished(t *testing.T, out string, n int) (work, dir, part string, f bundles.Fragment) {
	t.Helper()
	digest := fmt.Sprintf("sha256:%064x", n)
	part = fmt.Sprintf("cpu-%012x.tar.zst", n) // another name for each, as partName would give real digests
	work = filepath.Join(out, fmt.Sprintf("%scpu-%d", workPrefix, n))
	dir = filepath.Join(work, "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(work, part), filepath.Join(dir, fmt.Sprint(n))} {
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f = bundles.Fragment{Schema: facts.Schema,
		Bundle: bundles.Bundle{ID: "cpu", Cell: "cpu", Platform: "linux/amd64", Image: bundles.Image{Ref: "host"}, App: digest},
		Parts:  map[string]bundles.Part{digest: {Kind: bundles.PartApp, Name: part, Size: 1, Contents: digest}}}
	return work, dir, part, f
}

func TestTwoBuildsOfOneCellAtOnceLeaveAWholeOne(t *testing.T) {
	out := t.TempDir()
	if err := makeOut(out); err != nil {
		t.Fatal(err)
	}
	j := cellJob{options: buildOptions{out: out}}
	const builds = 8
	errs := make([]error, builds)
	var all sync.WaitGroup
	start := make(chan struct{})
	for n := range builds {
		work, dir, part, f := finished(t, out, n+1)
		all.Go(func() {
			<-start
			errs[n] = j.place(t.Context(), work, dir, part, f, []byte("{}\n"))
		})
	}
	close(start)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	f, err := bundles.ReadFragment(bundles.FragmentPath(out, "cpu"))
	if err != nil {
		t.Fatal(err)
	}
	part := f.Parts[f.Bundle.App].Name
	found, err := filepath.Glob(filepath.Join(out, "*.tar.zst"))
	if err != nil || len(found) != 1 || filepath.Base(found[0]) != part {
		t.Errorf("the fragment names %s; there is %q, %v", part, found, err)
	}
	var n int
	if _, err := fmt.Sscanf(part, "cpu-%x.tar.zst", &n); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(out, "cells", "cpu"))
	if err != nil || len(files) != 1 || files[0].Name() != fmt.Sprint(n) {
		t.Errorf("cells/cpu is not the folder of %s: %v, %v", part, files, err)
	}
}

func TestACellThatWasNotStartedKeepsItsLog(t *testing.T) {
	out := t.TempDir()
	if err := makeOut(out); err != nil {
		t.Fatal(err)
	}
	j := cellJob{options: buildOptions{out: out}, builder: noBuilder{}, progress: cli.NewProgress(&strings.Builder{}, false)}
	cell := matrix.Cell{ID: "cpu"}
	if err := os.WriteFile(j.logName(cell), []byte("of an earlier build"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.run(ctx, cell, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(j.logName(cell)); err != nil || string(text) != "of an earlier build" {
		t.Errorf("%q, %v", text, err)
	}
}

// noBuilder is for cells that must not come to a build.
type noBuilder struct{ ci.Builder }

func TestATagThatNoReleaseCanHaveIsAMistakeInTheCommandLine(t *testing.T) {
	var diag strings.Builder
	args := []string{"publish", "../v1", t.TempDir(), "--to", "dir:" + t.TempDir()}
	code := run(t.Context(), args, cli.NewStreams(strings.NewReader(""), &strings.Builder{}, &diag, nil))
	if code != cli.ExitUsage || !strings.Contains(diag.String(), `release tag "../v1"`) {
		t.Errorf("exit code %d: %s", code, diag.String())
	}
}

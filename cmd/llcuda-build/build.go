package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/source"
	"github.com/waqasm86/llcuda/internal/timeline"
	"github.com/waqasm86/llcuda/matrix"
)

type buildOptions struct {
	matrixFile string
	cells      []string
	source     string
	out        string
	builder    string
	images     []string
	jobs       int
	parallel   int
	timings    bool
	force      bool
	runtime    []string
	partial    bool
	noCache    bool
	draft      bool
	cacheDir   string
}

// dirs are the folders of a container.
func (o buildOptions) dirs() matrix.Dirs {
	if o.draft {
		return matrix.DraftDirs
	}
	return matrix.ContainerDirs
}

func newBuild(s *cli.Streams, matrixFile *string) *cobra.Command {
	o := buildOptions{}
	c := &cobra.Command{
		Use:   "build [CELL...]",
		Short: "build, inspect, verify and pack cells (all of the matrix without names)",
		Long: `Compiles each cell in its container, reads the truth back from the finished
files, holds it against the cell, and packs what passed into --out: the part
(CELL-….tar.zst), what publish needs of it (CELL.bundle.json), its bill of
materials (extra/CELL.spdx.json), the unpacked folder (cells/CELL), the full log
(logs/CELL.log) and what cuobjdump said of the files (logs/CELL.cuobjdump.txt). A cell that fails leaves nothing but its logs;
what an earlier build left stays until the new one is whole.

A cell whose source, image, flags and tools are those of the build before, and
of which --out still holds what that made, is not built again. --force builds it
all the same: for an image whose tag has moved.

--draft is for trying a change of llama.cpp: the engine keeps each cell's build
folder, so that only what changed is compiled and linked, and packing is quick
and not small. It is inspected and verified, but cuobjdump is not asked. A draft says so, and
goes to a folder (publish --to dir:PATH) and never to GitHub.

Without names it builds a release: what --out then holds must serve what the
matrix promises, or each hole is named and the build fails (the parts stay).
--partial leaves that to publish.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.matrixFile, o.cells = *matrixFile, args
			if o.source == "" {
				o.source = s.Env("LLCUDA_SOURCE")
			}
			dir, err := cacheDir(s)
			if err != nil {
				return err
			}
			o.cacheDir = dir
			return runBuild(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.source, "source", "", "llama.cpp from `DIR|URL[@REF]|BUNDLE` (default: the matrix's; env LLCUDA_SOURCE)")
	f.StringVar(&o.out, "out", "dist", "where the parts go, `DIR`")
	f.StringVar(&o.builder, "builder", "dagger", "`dagger|host`: containers, or the tools on PATH")
	f.StringArrayVar(&o.images, "image", nil, "build `TOOLKIT=REF` (or cpu=REF) in another image than the matrix names")
	f.IntVar(&o.jobs, "jobs", 0, "compile `N` files of a cell at once; 0: by cores and memory")
	f.IntVar(&o.parallel, "parallel", 0, "build `N` cells at once; 0: by memory, at most 2")
	f.BoolVar(&o.force, "force", false, "build cells that are unchanged, too")
	f.BoolVar(&o.timings, "timings", false, "print where the time went; logs/timings.json and logs/timings.svg in --out have it too")
	f.StringSliceVar(&o.runtime, "runtime", nil, "how bundles get the CUDA runtime, `host,lean,stock`, in place of the matrix's word")
	f.BoolVar(&o.partial, "partial", false, "do not hold the whole matrix against its promise")
	f.BoolVar(&o.draft, "draft", false, "build what changed since the last draft, and pack it quickly: for trying, not for publishing")
	f.BoolVar(&o.noCache, "no-cache", false, "compile everything anew: no ccache, no step that the engine remembers")
	return c
}

// runBuild is the whole job, top to bottom: matrix → cells → source → plans →
// (folder → facts → verdict → part) for each cell.
func runBuild(ctx context.Context, s *cli.Streams, o buildOptions) error {
	m, cells, images, err := selected(o.matrixFile, o.cells, o.images)
	if err != nil {
		return err
	}
	if err := checkBuilder(o.builder); err != nil {
		return err
	}
	if o.jobs < 0 || o.parallel < 0 {
		return cli.Usagef("--jobs %d, --parallel %d: neither can be less than 0", o.jobs, o.parallel)
	}
	if o.draft {
		switch {
		case len(o.cells) == 0:
			return cli.Usagef("--draft wants the names of cells: a release is not made of drafts")
		case o.noCache:
			return cli.Usagef("--draft is what is kept, --no-cache is from nothing: one of them")
		case o.builder == matrix.BuilderHost:
			return cli.Usagef("--draft goes with --builder dagger, whose engine keeps the folders")
		case len(o.runtime) == 0:
			o.runtime = []string{bundles.RuntimeHost} // NVIDIA's libraries take minutes to pack
		}
	}
	// What is wrong with the command line is said before anything is fetched.
	if err := m.CheckRuntime(o.runtime); err != nil {
		return &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	if _, err := plansFor(m, cells, matrix.PlanOptions{Dirs: o.dirs(), ImageFor: images, Builder: o.builder, Draft: o.draft}); err != nil {
		return err
	}
	whole := len(o.cells) == 0 && !o.partial
	if whole {
		if err := planKeepsPromise(m, o.matrixFile); err != nil {
			return err
		}
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := makeOut(o.out); err != nil {
		return err
	}
	times := timeline.NewRecorder(time.Now, "check", "connect", "image", "addresses", "export", "place")
	job, err := newCellJob(ctx, s, o, m, images, times)
	if err != nil {
		return err
	}
	if o.noCache {
		job = job.withoutCaches()
	}
	tree := job.tree
	built, errs, err := job.all(ctx, s, cells)
	if err != nil {
		return err
	}
	for _, b := range built {
		if b.id != "" {
			fmt.Fprintf(s.Out, "%s\t%s\t%s\n", b.id, filepath.Join(o.out, b.part), cli.Size(b.size))
		}
	}
	if o.timings {
		errs = append(errs, writeTimings(s, o.out, times.Finish()))
	}
	if err := errors.Join(errs...); err != nil || !whole {
		return err
	}
	if tree.ID.Fixture {
		fmt.Fprintln(s.Err, "llcuda-build: the test fixture serves nobody: not held against the matrix's promise")
		return nil
	}
	return withHoles(s, keepsPromise(o.matrixFile, "dist", o.out), false,
		"llcuda-build coverage --from "+o.out+" shows the grid; --partial builds without this check")
}

// extraDir is the folder of DIST whose files go along with a release: bills of
// materials, and what `make release-files` makes.
const extraDir = "extra"

// makeOut makes the folders of an output, and removes what killed builds left.
func makeOut(out string) error {
	for _, dir := range []string{out, filepath.Join(out, "cells"), filepath.Join(out, "logs"), filepath.Join(out, extraDir)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return sweepWorkDirs(out)
}

// newCellJob fetches the source. A job has no builder yet: see all.
func newCellJob(ctx context.Context, s *cli.Streams, o buildOptions, m *matrix.Matrix, images map[string]string, times *timeline.Recorder) (cellJob, error) {
	progress := cli.NewProgress(s.Err, false)
	lane := times.Lane("source")
	lane.Begin("source")
	progress.Set("source", "fetching", 0, 0, cli.Steps)
	tree, err := source.Resolve(ctx, source.Options{
		Spec: o.source, CacheDir: o.cacheDir, Log: s.Err, Env: s.Environ,
		Default: source.Repository{URL: m.Source().URL, Ref: m.Source().Ref},
	})
	lane.End("")
	if err != nil {
		progress.Finish("source", "")
		return cellJob{}, err
	}
	progress.Finish("source", describeSource(tree.ID))
	// On a host ccache is used where it is there; images always have it.
	_, noCcache := exec.LookPath("ccache")
	return cellJob{options: o, matrix: m, tree: tree, progress: progress, times: times, env: s.EnvMap(), dirs: o.dirs(),
		runtimes: &runtimeShop{made: map[string]func() (builtRuntime, error){}},
		plan:     matrix.PlanOptions{ImageFor: images, Source: tree.ID, Tool: version, Jobs: o.jobs, Builder: o.builder, Ccache: noCcache == nil, Draft: o.draft}}, nil
}

func describeSource(id matrix.SourceID) string {
	text := id.URL
	if text == "" {
		text = "a local tree"
	}
	if id.Ref != "" {
		text += " at " + id.Ref
	}
	if id.Commit != "" {
		text += ", commit " + short(id.Commit)
	}
	if id.Tree != "" {
		text += ", tree " + short(id.Tree)
	}
	if id.Fixture {
		text += " (the test fixture: never served, never published to GitHub)"
	}
	return text
}

func short(id string) string {
	const head = len("sha256:") + 12
	if len(id) > head {
		return id[:head]
	}
	return id
}

// labelled names the cell in each of the joined errors, and keeps what the user
// may act on.
func labelled(cell string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the outermost error only
		all := slices.Clone(joined.Unwrap())
		for i, e := range all {
			all[i] = labelled(cell, e)
		}
		return errors.Join(all...)
	}
	if strings.HasPrefix(err.Error(), "cell "+cell+": ") {
		return err
	}
	return fmt.Errorf("cell %s: %w", cell, err)
}

// cacheDir is where sources are kept: $LLCUDA_CACHE, else
// $XDG_CACHE_HOME/llcuda, else ~/.cache/llcuda.
func cacheDir(s *cli.Streams) (string, error) {
	switch {
	case s.Env("LLCUDA_CACHE") != "":
		return filepath.Abs(s.Env("LLCUDA_CACHE"))
	case s.Env("XDG_CACHE_HOME") != "":
		return filepath.Join(s.Env("XDG_CACHE_HOME"), "llcuda"), nil
	case s.Env("HOME") != "":
		return filepath.Join(s.Env("HOME"), ".cache", "llcuda"), nil
	}
	return "", cli.Usagef("no place for a cache: set LLCUDA_CACHE or HOME")
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/source"
	"github.com/waqasm86/llcuda/internal/timeline"
	"github.com/waqasm86/llcuda/matrix"
)

// Flags of verify that mean something with --rebuild only, and without it only.
var (
	rebuildOnly = []string{"source", "builder", "image", "jobs", "keep"}
	verifyOnly  = []string{"cell", "cuobjdump", "key", "json"}
)

func rebuildFlags(f *pflag.FlagSet, o *verifyOptions) {
	f.BoolVar(&o.rebuild, "rebuild", false, "build the named cells twice, from nothing, and compare the bytes")
	f.StringVar(&o.build.source, "source", "", "with --rebuild: llama.cpp from `DIR|URL[@REF]|BUNDLE` (env LLCUDA_SOURCE)")
	f.StringVar(&o.build.builder, "builder", matrix.BuilderDagger, "with --rebuild: `dagger|host`")
	f.StringArrayVar(&o.build.images, "image", nil, "with --rebuild: build `TOOLKIT=REF` in another image than the matrix names")
	f.IntVar(&o.build.jobs, "jobs", runtime.NumCPU(), "with --rebuild: compile `N` files at once")
	f.Lookup("jobs").DefValue = "one a processor"
	f.StringVar(&o.keep, "keep", "", "with --rebuild: leave both builds in `DIR` (default: a temporary folder)")
}

func rebuildFlagsAlone(c *cobra.Command, rebuild bool) error {
	wrong, needs := rebuildOnly, "only with"
	if rebuild {
		wrong, needs = verifyOnly, "not with"
	}
	for _, name := range wrong {
		if c.Flags().Changed(name) {
			return cli.Usagef("--%s goes %s --rebuild", name, needs)
		}
	}
	return nil
}

func prepareRebuild(ctx context.Context, s *cli.Streams, o verifyOptions) error {
	if o.build.source == "" {
		o.build.source = s.Env("LLCUDA_SOURCE")
	}
	if err := checkBuilder(o.build.builder); err != nil {
		return err
	}
	cache, err := cacheDir(s)
	if err != nil {
		return err
	}
	o.build.cacheDir = cache
	if o.keep == "" {
		tmp, err := os.MkdirTemp(s.Env("TMPDIR"), "llcuda-rebuild-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		o.keep = tmp
	} else if err := os.MkdirAll(o.keep, 0o755); err != nil {
		return err
	}
	if o.keep, err = filepath.Abs(o.keep); err != nil {
		return err
	}
	return runRebuild(ctx, s, o)
}

// runRebuild is the whole of --rebuild: one source, and each cell built from it
// twice, one build after the other.
func runRebuild(ctx context.Context, s *cli.Streams, o verifyOptions) error {
	m, cells, images, err := selected(o.build.matrixFile, o.build.cells, o.build.images)
	if err != nil {
		return err
	}
	o.build.parallel, o.build.runtime = 1, []string{matrix.RuntimeHost} // NVIDIA's files are not built
	first, err := newCellJob(ctx, s, o.build, m, images, timeline.NewRecorder(time.Now))
	if err != nil {
		return err
	}
	engine, err := engineOptions(s)
	if err != nil {
		return err
	}
	if first.builder, err = newBuilder(ctx, engine, o.build.builder); err != nil {
		return err
	}
	defer first.builder.Close()
	// The second build stands in folders of other names, of other lengths.
	first.options.out = filepath.Join(o.keep, "first")
	second := first
	second.dirs, second.options.out = matrix.OtherDirs, filepath.Join(o.keep, "the-second-one")
	if o.build.builder == matrix.BuilderHost {
		second.tree.Dir = filepath.Join(o.keep, "source-of-the-second-one")
		if err := copyTree(ctx, first.tree.Dir, second.tree.Dir); err != nil {
			return fmt.Errorf("copying the source: %w", err)
		}
		defer os.RemoveAll(second.tree.Dir)
	}
	var errs []error
	for _, cell := range cells {
		if err := rebuildCell(ctx, s, cell, first, second); err != nil {
			errs = append(errs, labelled(cell.ID, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func rebuildCell(ctx context.Context, s *cli.Streams, cell matrix.Cell, first, second cellJob) error {
	var parts [2]builtCell
	for i, job := range []cellJob{first, second} {
		if err := makeOut(job.options.out); err != nil {
			return err
		}
		built, err := job.withoutCaches().run(ctx, cell, job.times.Lane(cell.ID))
		if err != nil {
			first.progress.Finish(cell.ID, "failed, the whole log is "+job.logName(cell))
			return err
		}
		parts[i] = built
	}
	if one, two := parts[0], parts[1]; one.digest == two.digest {
		fmt.Fprintf(s.Out, "%s\t%s\t%d bytes, built twice in different folders: the same\n", cell.ID, one.digest, one.size)
		return nil
	}
	return differingFiles(cell.ID, filepath.Join(first.options.out, "cells", cell.ID), filepath.Join(second.options.out, "cells", cell.ID))
}

// withoutCaches is the job with nothing from an earlier build: no ccache, and
// each step new to the engine.
func (j cellJob) withoutCaches() cellJob {
	j.fresh, j.plan.NoCcache = rand.Text(), true
	return j
}

// copyTree copies a source tree as a builder sees it: without .git and build
// folders.
func copyTree(ctx context.Context, from, to string) error {
	builds, err := source.BuildDirs(from)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.Name() == ".git" || d.IsDir() && slices.Contains(builds, rel) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case d.Type().IsRegular():
			return copyFile(path, target)
		}
		return fmt.Errorf("%s is neither a file, a folder nor a link", strings.TrimPrefix(path, from+"/"))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

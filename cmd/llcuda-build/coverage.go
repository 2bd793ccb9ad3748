package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/coverage"
	"github.com/waqasm86/llcuda/matrix"
)

type coverageOptions struct {
	matrixFile string
	from       string
	keys       []string
	glibc      string
	html       string
	json       bool
}

func newCoverage(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o coverageOptions
	c := &cobra.Command{
		Use:   "coverage",
		Short: "which bundle serves which GPU on which driver; exit 1 names each hole in the promise",
		Long: `Lays out GPU × driver branch: which bundle serves each, by machine code (native),
by PTX (jit) or not at all, and why. The answers are those of llcuda-run why.

Without --from: what the cells of the matrix are asked to hold, a plan that is
read from no file. With it: a release, its signature checked (--key), or a dist
folder that build left. A hole is a pair that the matrix promises and that is not
served natively with the promised glibc; it ends with exit code 1. Bundles made
of the test fixture serve nobody. There is no check here that a release is the
newest: nothing of what was seen before is kept.

--json prints one document, schema 1:
  of        {kind: plan|dist|release, source, release, sequence, tool}
  platform, assumes: what holds for every answer
  branches  [{branch, cuda, first, sure}]: driver branches, oldest first
  gpus      [{cc, title, arch, names, promise: {cc, driver, until, glibc}|null, glibc,
              cells: [{branch, spans: [{from, state, bundle, also, glibc, promised, hole,
                                        code, cuda_error, near, text, fix}]}]}]
            a span goes from a driver (a bare branch: its oldest) to the next span's;
            state is native, jit, unknown, none or not-applicable
  left_out  [{cc, names, why}]
  bundles   [{id, cell, toolkit, size, glibc, serves, not_counted}]
  totals    {native, jit, unknown, none, not_applicable}: by the newest driver of a branch
  holes     [{cc, title, from, to, drivers, glibc, state, bundle, code, text, cells, close}]`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.matrixFile = *matrixFile
			if !cmd.Flags().Changed("from") {
				o.from = s.Env("LLCUDA_FROM")
			}
			if len(o.keys) == 0 {
				o.keys = bundles.KeysIn(s.Env("LLCUDA_KEY"))
			}
			return runCoverage(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "a release or dist folder: `github:OWNER/REPO[@TAG] | DIR | https://…` (env LLCUDA_FROM)")
	f.StringArrayVar(&o.keys, "key", nil, "trust this minisign public `KEY` or .pub file too (env LLCUDA_KEY)")
	f.StringVar(&o.glibc, "glibc", "", "judge on hosts with glibc `VERSION`, not the promised one")
	f.StringVar(&o.html, "html", "", "write one self-contained page to `FILE` too")
	f.BoolVar(&o.json, "json", false, "print the grid as JSON (schema 1)")
	return c
}

func runCoverage(ctx context.Context, s *cli.Streams, o coverageOptions) error {
	if o.glibc != "" {
		if _, err := compat.SimulatedHost(compat.Simulate{Glibc: o.glibc}); err != nil {
			return cli.Usagef("--glibc: %v", err)
		}
	}
	m, err := loadMatrix(o.matrixFile)
	if err != nil {
		return err
	}
	in, err := promiseOf(m)
	if err != nil {
		return err
	}
	in.Glibc = o.glibc
	if in.Subject, in.Manifest, err = subject(ctx, s, o, in.Plan); err != nil {
		return err
	}
	g, err := coverage.Compute(in)
	if err != nil {
		return err
	}
	if o.html != "" {
		if err := writePage(s, g, o.html); err != nil {
			return err
		}
	}
	if o.json {
		if err := s.PrintJSON(g); err != nil {
			return err
		}
		return g.Check() // the holes in words, beside stdout
	}
	if err := g.WriteText(s.Out); err != nil {
		return err
	}
	var holes *coverage.HolesError
	if errors.As(g.Check(), &holes) {
		return &cli.Error{Err: errors.New(holes.Title()), Code: cli.ExitFailed}
	}
	return nil
}

// promiseOf is what every grid of a matrix is held against.
func promiseOf(m *matrix.Matrix) (coverage.Input, error) {
	in := coverage.Input{Promise: m.Promise()}
	plans, err := plansFor(m, m.Cells(), matrix.PlanOptions{Dirs: matrix.ContainerDirs, Source: m.Source()})
	if err != nil {
		return in, err
	}
	for _, p := range plans {
		in.Platform = p.Cell.Platform
	}
	in.Plan, err = coverage.Planned(plans)
	return in, err
}

// subject is what the grid is of: the plan itself, a dist folder or a release.
func subject(ctx context.Context, s *cli.Streams, o coverageOptions, plan *bundles.Manifest) (coverage.Subject, *bundles.Manifest, error) {
	if o.from == "" {
		return coverage.Subject{Kind: coverage.KindPlan, Source: o.matrixFile}, plan, nil
	}
	from := strings.TrimPrefix(o.from, "dir:")
	if isDist(from) {
		m, err := joined("dist", from)
		return coverage.Subject{Kind: coverage.KindDist, Source: from}, m, err
	}
	name, m, err := openRelease(ctx, s, from, o.keys)
	if err != nil {
		return coverage.Subject{}, nil, err
	}
	return coverage.Subject{Kind: coverage.KindRelease, Source: name, Release: m.Release, Sequence: m.Sequence, Tool: m.Tool}, m, nil
}

// isDist tells a folder that build left from one that publish did.
func isDist(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return strings.HasSuffix(e.Name(), bundles.FragmentSuffix)
	})
}

// joined is the manifest that the fragments of a dist folder would make.
func joined(tag, dist string) (*bundles.Manifest, error) {
	fragments, err := bundles.ReadFragments(dist)
	if err != nil {
		return nil, err
	}
	return bundles.Compose(tag, 1, "llcuda-build "+version, fragments)
}

// keepsPromise holds a dist folder against the whole promise of the matrix.
func keepsPromise(matrixFile, tag, dist string) error {
	m, err := loadMatrix(matrixFile)
	if err != nil {
		return err
	}
	in, err := promiseOf(m)
	if err != nil {
		return err
	}
	in.Subject = coverage.Subject{Kind: coverage.KindDist, Source: dist}
	if in.Manifest, err = joined(tag, dist); err != nil {
		return err
	}
	g, err := coverage.Compute(in)
	if err != nil {
		return err
	}
	return g.Check()
}

// planKeepsPromise is what can be said of a release before anything is compiled.
func planKeepsPromise(m *matrix.Matrix, matrixFile string) error {
	in, err := promiseOf(m)
	if err != nil {
		return err
	}
	in.Subject, in.Manifest = coverage.Subject{Kind: coverage.KindPlan, Source: matrixFile}, in.Plan
	g, err := coverage.Compute(in)
	if err != nil {
		return err
	}
	return g.Check()
}

// withHoles gives a failed check the cure that fits the command, and lets what
// is partial on purpose pass with a line about it.
func withHoles(s *cli.Streams, err error, partial bool, cure string) error {
	var holes *coverage.HolesError
	switch {
	case !errors.As(err, &holes):
		return err
	case partial:
		fmt.Fprintf(s.Err, "llcuda-build: partial on purpose: %s\n", holes.Title())
		return nil
	}
	return &cli.Error{Err: holes, Code: cli.ExitFailed, Cure: cure}
}

// writePage writes the page beside its name first: a page is whole or not there.
// What is there and no file (/dev/stdout, a pipe) is written to and not replaced.
func writePage(s *cli.Streams, g coverage.Grid, file string) error {
	day := time.Now().UTC()
	if epoch := s.Env("SOURCE_DATE_EPOCH"); epoch != "" {
		n, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return cli.Usagef("SOURCE_DATE_EPOCH %q is no number of seconds", epoch)
		}
		day = time.Unix(n, 0).UTC()
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
		if err := errors.Join(g.WriteHTML(f, day.Format(time.DateOnly)), f.Close()); err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".coverage-*")
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(g.WriteHTML(f, day.Format(time.DateOnly)), f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return os.Rename(f.Name(), file)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/timeline"
	"github.com/waqasm86/llcuda/matrix"
)

// all turns cells into parts: those that are unchanged are taken as they are, and
// only for the others a builder is asked for; they begin longest first, those
// that others take machine code from before these. What became
// of each comes back in the order of cells.
func (j cellJob) all(ctx context.Context, s *cli.Streams, cells []matrix.Cell) ([]builtCell, []error, error) {
	engine, err := engineOptions(s)
	if err != nil {
		return nil, nil, err
	}
	// Where a program is missing the builder says so; nothing is unchanged then.
	known := false
	if j.programs, err = programs(j.options.builder, engine.Program); err == nil {
		known = true
	}
	built, errs := make([]builtCell, len(cells)), make([]error, len(cells))
	same := map[string]builtCell{}
	if known && !j.options.force && !j.options.noCache {
		same = j.unchanged(ctx, cells)
	}
	place := map[string]int{}
	var todo []matrix.Cell
	slowest := map[string]float64{}
	for i, c := range cells {
		place[c.ID] = i
		if b, ok := same[c.ID]; ok {
			built[i] = b
			j.progress.Finish(c.ID, fmt.Sprintf("unchanged: %s, %s", b.part, cli.Size(b.size)))
			continue
		}
		todo = append(todo, c)
		slowest[c.ID] = j.receiptOf(c.ID).Slowest
	}
	if len(todo) == 0 {
		return built, errs, nil
	}
	cuda := false
	for _, c := range todo {
		cuda = cuda || c.Toolkit != ""
	}
	share := shareOut(runtime.NumCPU(), machineMemory(), cuda, j.options.jobs, j.options.parallel)
	j.plan.Jobs = share.jobs
	todo, how := longestFirst(todo, slowest, share.jobs), "longest first"
	if j.options.builder == matrix.BuilderDagger && j.fresh == "" && !j.options.draft {
		longest := todo
		todo = takenFromFirst(longest)
		if !slices.EqualFunc(longest, todo, func(a, b matrix.Cell) bool { return a.ID == b.ID }) {
			how = "first those whose machine code others take, then longest first"
		}
	}
	j.progress.Printf("%s", announce(todo, how, share))

	lane := j.times.Lane("engine")
	if j.options.builder == matrix.BuilderDagger {
		lane.Begin("connect")
	}
	j.builder, err = newBuilder(ctx, engine, j.options.builder)
	lane.End("")
	if err != nil {
		return nil, nil, err
	}
	defer j.builder.Close()

	var group errgroup.Group
	group.SetLimit(max(1, share.parallel))
	for _, cell := range todo {
		group.Go(func() error {
			i, lane := place[cell.ID], j.times.Lane(cell.ID)
			built[i], errs[i] = j.run(ctx, cell, lane)
			switch {
			case errors.Is(errs[i], context.Canceled):
				lane.End("interrupted")
				j.progress.Finish(cell.ID, "interrupted")
			case errs[i] != nil:
				lane.End("failed")
				j.progress.Finish(cell.ID, "failed, the whole log is "+j.logName(cell))
				errs[i] = labelled(cell.ID, errs[i])
			default:
				lane.End("built")
			}
			return nil // the other cells go on
		})
	}
	_ = group.Wait()
	return built, errs, nil
}

// announce says what is built, in which order, and how the machine is shared.
func announce(cells []matrix.Cell, how string, s share) string {
	ids := make([]string, len(cells))
	for i, c := range cells {
		ids[i] = c.ID
	}
	text := "building " + strings.Join(ids, ", ")
	if len(ids) > 1 {
		text += " (" + how + ")"
	}
	return text + ": " + s.why
}

func newBuilder(ctx context.Context, engine ci.DaggerOptions, name string) (ci.Builder, error) {
	if name == matrix.BuilderHost {
		return ci.NewHost(ci.HostOptions{Env: engine.Env})
	}
	return ci.NewDagger(ctx, engine)
}

// engineOptions name the second program of this installation: it lies beside this
// one, under a name of the same form (llcuda-build-linux-amd64, llcuda-engine-linux-amd64),
// and nowhere else is looked.
func engineOptions(s *cli.Streams) (ci.DaggerOptions, error) {
	self, err := os.Executable()
	if err != nil {
		return ci.DaggerOptions{}, fmt.Errorf("finding %s: %w", ci.EngineProgram, err)
	}
	name := ci.EngineProgram
	if form, ok := strings.CutPrefix(filepath.Base(self), "llcuda-build"); ok {
		name += form
	}
	return ci.DaggerOptions{Program: filepath.Join(filepath.Dir(self), name), Env: s.EnvMap()}, nil
}

// writeTimings prints where the time went, and keeps it beside the logs.
func writeTimings(s *cli.Streams, out string, run timeline.Run) error {
	record, drawing := filepath.Join(out, "logs", "timings.json"), filepath.Join(out, "logs", "timings.svg")
	for name, write := range map[string]func(f *os.File) error{
		record: func(f *os.File) error { return run.WriteJSON(f) },
		drawing: func(f *os.File) error {
			return run.WriteSVG(f, "llcuda-build "+version+", "+run.Began.Format(time.DateTime)+" UTC")
		},
	} {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	if err := run.WriteText(s.Out); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "llcuda-build: timings: %s, drawn in %s\n", record, drawing)
	return nil
}

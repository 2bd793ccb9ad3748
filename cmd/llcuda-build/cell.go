package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/flock"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/sbom"
	"github.com/waqasm86/llcuda/internal/source"
	"github.com/waqasm86/llcuda/internal/timeline"
	"github.com/waqasm86/llcuda/matrix"
)

// cellJob is what the cells of one build share.
type cellJob struct {
	options  buildOptions
	matrix   *matrix.Matrix
	plan     matrix.PlanOptions
	builder  ci.Builder
	tree     source.Tree
	progress *cli.Progress
	times    *timeline.Recorder
	env      map[string]string
	// programs are the digests of what builds and checks; nil where not known.
	programs []string
	// runtimes are the parts that cells share.
	runtimes *runtimeShop
	// dirs are the folders in a container; a host's are made for each build.
	dirs matrix.Dirs
	// fresh keeps every cache out, see ci.Job.
	fresh string
}

// builtCell is what one cell left in the output folder.
type builtCell struct {
	id     string
	part   string
	digest string
	size   int64
}

// run turns one cell into a part and a fragment: build → inspect → verify →
// pack. Nothing is put in its final place before it passed.
func (j cellJob) run(ctx context.Context, cell matrix.Cell, lane *timeline.LaneRecorder) (builtCell, error) {
	if err := ctx.Err(); err != nil {
		return builtCell{}, err // before the log of an earlier build is emptied
	}
	key, keyErr := j.key(cell) // of what is there now, not of what is there afterwards
	began := time.Now()
	folder, err := newWorkDir(j.options.out, cell.ID)
	if err != nil {
		return builtCell{}, err
	}
	defer folder.close()
	work := folder.path

	o, app := j.plan, filepath.Join(work, "app")
	o.Dirs = j.dirs
	if o.Builder == matrix.BuilderHost {
		o.Dirs = ci.HostDirs(j.tree.Dir, app, filepath.Join(j.options.cacheDir, "ccache"))
	}
	plan, err := j.matrix.Plan(cell, o)
	if err != nil {
		return builtCell{}, err
	}

	log, err := os.Create(j.logName(cell))
	if err != nil {
		return builtCell{}, err
	}
	defer log.Close()
	result, err := j.builder.Build(ctx, plan, ci.Job{
		SourceDir: j.tree.Dir, OutDir: app, Log: log, Fresh: j.fresh,
		Progress: func(e ci.Event) {
			lane.Begin(e.Step)
			j.progress.Set(cell.ID, e.Step, int64(e.Done), int64(e.Total), cli.Steps)
		},
	})
	if err != nil {
		return builtCell{}, lastLines(err)
	}
	if result.Witness != "" {
		if err := os.WriteFile(j.witnessName(cell), []byte(result.Witness), 0o644); err != nil {
			return builtCell{}, err
		}
	}

	if result.Reuse != "" {
		j.progress.Printf("%s: %s", cell.ID, result.Reuse)
	}
	if result.Random {
		j.progress.Printf("%s: addresses are random in this engine's containers: nvcc may make other machine code of the same source next time; for a release let sudo sysctl kernel.randomize_va_space=0 end that while it is built", cell.ID)
	}

	step := func(name string) {
		lane.Begin(name)
		j.progress.Set(cell.ID, name, 0, 0, cli.Steps)
	}
	step("inspect")
	report, err := readFacts(result.Dir)
	if err != nil {
		return builtCell{}, err
	}
	step("verify")
	if err := verifyCell(ctx, j.matrix, plan, report, result.Witness, func(text string) { j.progress.Printf("%s: %s", cell.ID, text) }); err != nil {
		return builtCell{}, err
	}

	info := describe(plan, result, j.tree.ID)
	if err := writeJSON(filepath.Join(result.Dir, bundles.InfoName), info); err != nil {
		return builtCell{}, err
	}
	step("pack")
	packing := j.options.packing()
	earlier := j.earlierPart(cell.ID)
	if earlier != nil {
		defer earlier.Close()
		packing.Earlier = earlier
	}
	packed, name, err := j.pack(ctx, result.Dir, work, cell.ID, packing)
	if err != nil {
		return builtCell{}, err
	}

	part := appPart(name, packed, report)
	bundle := bundles.Bundle{ID: cell.ID, Cell: cell.ID, Platform: cell.Platform, Toolkit: cell.Toolkit,
		Image: info.Image, Source: info.Source, Draft: info.Draft, Faster: cell.Faster, App: packed.Digest}
	parts := map[string]bundles.Part{packed.Digest: part}
	if compat.NeedsCUDA(part.Needs) {
		lane.Begin("runtime")
		if bundle.Runtime, err = j.addRuntimes(ctx, cell, result.Dir, parts); err != nil {
			return builtCell{}, err
		}
	}
	fragment := bundles.Fragment{Schema: facts.Schema, Bundle: bundle, Parts: parts}
	lane.Begin("place")
	bill, err := j.bill(ctx, work, fragment)
	if err != nil {
		return builtCell{}, err
	}
	if err := j.place(ctx, work, result.Dir, name, fragment, bill); err != nil {
		return builtCell{}, err
	}
	if keyErr == nil && j.programs != nil {
		if err := j.writeReceipt(cell.ID, key, time.Since(began).Seconds()); err != nil {
			return builtCell{}, err
		}
	}
	kept := ""
	if packed.Kept > 0 {
		kept = fmt.Sprintf(", %s of it as it was", cli.Size(packed.Kept))
	}
	j.progress.Finish(cell.ID, fmt.Sprintf("built, verified and packed in %s: %s, %s%s",
		time.Since(began).Round(time.Second), name, cli.Size(packed.Size), kept))
	return builtCell{id: cell.ID, part: name, digest: packed.Digest, size: packed.Size}, nil
}

// bill is the bundle's bill of materials; nil for a draft, which goes nowhere.
func (j cellJob) bill(ctx context.Context, work string, fragment bundles.Fragment) ([]byte, error) {
	if fragment.Bundle.Draft {
		return nil, nil
	}
	return sbom.Document(ctx, sbom.Input{Fragment: fragment, Tool: version, Time: j.tree.Time, Open: func(name string) (io.ReadCloser, error) {
		f, err := os.Open(filepath.Join(work, name))
		if errors.Is(err, fs.ErrNotExist) { // a runtime part is in its place already
			return os.Open(filepath.Join(j.options.out, name))
		}
		return f, err
	}})
}

// place moves what passed to its names, the fragment after the part: a build
// that is killed before it leaves the earlier fragment and its part in force.
// Only the unpacked folder, which nothing is published from, follows it. Builds
// into one folder take turns here, or one would drop the part that another's
// fragment is about to name.
func (j cellJob) place(ctx context.Context, work, dir, part string, fragment bundles.Fragment, bill []byte) error {
	out := j.options.out
	turn, err := os.Open(filepath.Join(out, "cells"))
	if err != nil {
		return err
	}
	defer turn.Close()
	if err := flock.Lock(ctx, turn, nil); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, part), filepath.Join(out, part)); err != nil {
		return err
	}
	if _, err := bundles.WriteFragment(out, fragment); err != nil {
		return err
	}
	name := billName(out, fragment.Bundle.ID)
	if bill == nil { // what an earlier build left is of other files
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else if err := os.WriteFile(name, bill, 0o644); err != nil {
		return err
	}
	cell := filepath.Join(out, "cells", fragment.Bundle.ID)
	if err := os.RemoveAll(cell); err != nil {
		return err
	}
	if err := os.Rename(dir, cell); err != nil {
		return err
	}
	return errors.Join(dropOldParts(out, fragment.Bundle.ID, part), dropOldRuntimes(out))
}

// billName is where a bundle's bill of materials lies: in the folder of what goes
// along with a release besides its parts.
func billName(out, bundle string) string { return filepath.Join(out, extraDir, bundle+sbom.Suffix) }

// dropOldParts removes parts of a cell that its fragment no longer names.
func dropOldParts(out, cell, keep string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != keep && partOf(e.Name(), cell) {
			if err := os.Remove(filepath.Join(out, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFacts reads the truth from every file, floors included.
func readFacts(dir string) (facts.Report, error) {
	report, err := inspect.Dir(dir, inspect.CPU)
	if err != nil {
		return report, err
	}
	addFloors(&report)
	return report, nil
}

// partName is CELL-<12 hex digits of the digest>.tar.zst: a name never stands
// for two contents.
func partName(cell, digest string) string {
	return fmt.Sprintf("%s-%.12s.tar.zst", cell, strings.TrimPrefix(digest, "sha256:"))
}

// partOf tells whether a file name is partName of that cell.
func partOf(name, cell string) bool {
	rest, ok := strings.CutPrefix(name, cell+"-")
	if !ok {
		return false
	}
	hex, ok := strings.CutSuffix(rest, ".tar.zst")
	return ok && len(hex) == 12 && strings.Trim(hex, "0123456789abcdef") == ""
}

// draftPacking packs the 136 MB of one SM in half a second, into some half more bytes.
var draftPacking = bundles.PackOptions{Level: 1, WindowLog: 22}

// packing is how parts are packed.
func (o buildOptions) packing() bundles.PackOptions {
	if o.draft {
		return draftPacking
	}
	return bundles.PackOptions{}
}

func (j cellJob) pack(ctx context.Context, dir, work, cell string, o bundles.PackOptions) (bundles.Packed, string, error) {
	o.Progress = func(n, _ int64) { j.progress.Set(cell, "packing", n, 0, cli.Bytes) }
	tmp, err := os.CreateTemp(work, "part-*")
	if err != nil {
		return bundles.Packed{}, "", err
	}
	defer tmp.Close()
	packed, err := bundles.Pack(ctx, dir, tmp, o)
	if err != nil {
		return packed, "", fmt.Errorf("packing %s: %w", cell, err)
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return packed, "", fmt.Errorf("packing %s: %w", cell, err)
	}
	name := partName(cell, packed.Digest)
	return packed, name, os.Rename(tmp.Name(), filepath.Join(work, name))
}

func describe(p matrix.Plan, r ci.Result, id matrix.SourceID) bundles.Info {
	return bundles.Info{
		Schema: facts.Schema, Cell: p.Cell.ID, Platform: p.Cell.Platform, Toolkit: p.Cell.Toolkit,
		Image:  bundles.Image{Ref: publicRef(imageRef(p, r)), Digest: r.ImageDigest, StandIn: p.StandIn, Tools: r.Tools},
		Source: bundles.Source{URL: id.URL, Ref: id.Ref, Commit: id.Commit, Tree: id.Tree, Fixture: id.Fixture},
		SMs:    p.Cell.SMs, PTX: p.Cell.PTX, CMake: p.CMake, Key: p.Key, Tool: version, Draft: p.Draft,
	}
}

// imageRef is what a cell was really built in: "host" for the host builder.
func imageRef(p matrix.Plan, r ci.Result) string {
	if r.ImageRef != "" {
		return r.ImageRef
	}
	return p.Image
}

// publicRef drops the address of a registry on this machine: what a bundle says
// of its image must not depend on a port that was free.
func publicRef(ref string) string {
	host, rest, ok := strings.Cut(ref, "/")
	if ok && (strings.HasPrefix(host, "127.") || strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "[::1]")) {
		return rest
	}
	return ref
}

func appPart(name string, packed bundles.Packed, report facts.Report) bundles.Part {
	part := bundles.Part{Kind: bundles.PartApp, Name: name, Size: packed.Size, Contents: packed.Contents,
		Unpacked: packed.Unpacked, CPU: "x86-64"}
	for _, f := range report.Files {
		if f.ELF == nil {
			continue
		}
		part.Files = append(part.Files, f)
		part.Glibc = newest(part.Glibc, f.ELF.Glibc)
		part.Glibcxx = newest(part.Glibcxx, f.ELF.Glibcxx)
	}
	part.Needs = compat.Needs(report.Files)
	part.Floors = compat.PartFloorsOf(part)
	return part
}

func writeJSON(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// logName is the file of a cell's whole log.
func (j cellJob) logName(cell matrix.Cell) string {
	return filepath.Join(j.options.out, "logs", cell.ID+".log")
}

// witnessName is the file with what cuobjdump said of a cell's files where they
// were built: whoever doubts a verdict reads it beside `inspect`.
func (j cellJob) witnessName(cell matrix.Cell) string {
	return filepath.Join(j.options.out, "logs", cell.ID+".cuobjdump.txt")
}

// lastLines puts what the tools said last under the error of a failed step.
func lastLines(err error) error {
	var failed *ci.StepError
	if !errors.As(err, &failed) || len(failed.Tail) == 0 {
		return err
	}
	return fmt.Errorf("%w:\n%s", err, strings.Join(failed.Tail, "\n"))
}

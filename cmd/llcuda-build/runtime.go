package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/flock"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/timeline"
	"github.com/waqasm86/llcuda/matrix"
)

// builtRuntime is a runtime part in the output folder, as runtimes/ID.json there
// says: a later build with the same key takes it as it is.
type builtRuntime struct {
	Schema int          `json:"schema"`
	Key    string       `json:"key"`
	Digest string       `json:"digest"`
	Part   bundles.Part `json:"part"`
	// Calls are the functions of a lean libcublas; empty for a stock one, which has all.
	Calls []string `json:"calls,omitempty"`
}

// runtimeShop makes the runtime parts of one build, each once, whichever cell
// asks first.
type runtimeShop struct {
	mu   sync.Mutex
	made map[string]func() (builtRuntime, error)
}

// forms are the ways in which a cell gets its runtime, best first.
func (j cellJob) forms(cell matrix.Cell) []string {
	if len(j.options.runtime) > 0 {
		return j.options.runtime
	}
	return cell.Runtime
}

// runtimeKeys are what decides the runtimes of a cell: each form, with its plan's key.
func (j cellJob) runtimeKeys(cell matrix.Cell) ([]string, error) {
	var keys []string
	for _, form := range j.forms(cell) {
		if form == matrix.RuntimeHost {
			keys = append(keys, form)
			continue
		}
		if j.plan.Builder == matrix.BuilderHost {
			return nil, errors.New("what a host's own toolkit gives has no key that says so")
		}
		o := j.plan
		o.Dirs = matrix.ContainerDirs
		plan, err := j.matrix.RuntimePlan(cell, form, o)
		if err != nil {
			return nil, err
		}
		keys = append(keys, form+" "+plan.Key)
	}
	return keys, nil
}

// addRuntimes gives a cell its runtimes, best first, and adds their parts to
// those of its bundle. app is the cell's finished folder.
func (j cellJob) addRuntimes(ctx context.Context, cell matrix.Cell, app string, parts map[string]bundles.Part) ([]string, error) {
	var list []string
	for _, form := range j.forms(cell) {
		if form == matrix.RuntimeHost {
			list = append(list, bundles.RuntimeHost)
			continue
		}
		r, err := j.runtime(ctx, cell, form)
		if err != nil {
			return nil, err
		}
		if form == matrix.RuntimeLean {
			if err := callsAreThere(app, r); err != nil {
				return nil, err
			}
		}
		list, parts[r.Digest] = append(list, r.Digest), r.Part
	}
	return list, nil
}

// runtime is the part that brings a cell its runtime in a form.
func (j cellJob) runtime(ctx context.Context, cell matrix.Cell, form string) (builtRuntime, error) {
	o := j.plan
	o.Dirs = matrix.ContainerDirs
	plan, err := j.matrix.RuntimePlan(cell, form, o)
	if err != nil {
		return builtRuntime{}, err
	}
	id := plan.Cell.ID
	j.runtimes.mu.Lock()
	if j.runtimes.made[id] == nil {
		j.runtimes.made[id] = sync.OnceValues(func() (builtRuntime, error) {
			lane := j.times.Lane(id)
			r, err := j.makeRuntime(ctx, cell, form, plan, lane)
			lane.End("")
			if err != nil {
				j.progress.Finish(id, "failed, the whole log is "+j.logName(plan.Cell))
				return r, labelled(id, err)
			}
			return r, nil
		})
	}
	made := j.runtimes.made[id]
	j.runtimes.mu.Unlock()
	return made()
}

// makeRuntime turns a runtime plan into a part: build → inspect → verify → pack,
// as a cell, or finds the part that an earlier build made of the same plan.
func (j cellJob) makeRuntime(ctx context.Context, cell matrix.Cell, form string, plan matrix.Plan, lane *timeline.LaneRecorder) (builtRuntime, error) {
	id, began := plan.Cell.ID, time.Now()
	if r, ok := j.madeBefore(plan); ok {
		j.progress.Finish(id, "unchanged: "+r.Part.Name)
		return r, nil
	}
	folder, err := newWorkDir(j.options.out, id)
	if err != nil {
		return builtRuntime{}, err
	}
	defer folder.close()
	none, dir := filepath.Join(folder.path, "no-source"), filepath.Join(folder.path, "runtime")
	if err := os.Mkdir(none, 0o755); err != nil {
		return builtRuntime{}, err
	}
	if j.plan.Builder == matrix.BuilderHost {
		o := j.plan
		o.Dirs = ci.HostDirs(none, dir, filepath.Join(j.options.cacheDir, "ccache"))
		if plan, err = j.matrix.RuntimePlan(cell, form, o); err != nil {
			return builtRuntime{}, err
		}
	}
	log, err := os.Create(j.logName(plan.Cell))
	if err != nil {
		return builtRuntime{}, err
	}
	defer log.Close()
	result, err := j.builder.Build(ctx, plan, ci.Job{SourceDir: none, OutDir: dir, Log: log,
		Progress: func(e ci.Event) {
			lane.Begin(e.Step)
			j.progress.Set(id, e.Step, int64(e.Done), int64(e.Total), cli.Steps)
		}})
	if err != nil {
		return builtRuntime{}, lastLines(err)
	}

	lane.Begin("inspect")
	j.progress.Set(id, "inspect", 0, 0, cli.Steps)
	info, err := j.describeRuntime(cell, plan, result, form)
	if err != nil {
		return builtRuntime{}, err
	}
	if form == matrix.RuntimeLean {
		if info.Lean, err = takeReference(result.Dir, folder.path, plan); err != nil {
			return builtRuntime{}, err
		}
	}
	report, err := readFacts(result.Dir)
	if err != nil {
		return builtRuntime{}, err
	}
	if misses := runtimeMisses(info, plan.Cell.Glibc, report); len(misses) > 0 {
		return builtRuntime{}, missesError(misses)
	}
	if err := writeJSON(filepath.Join(result.Dir, bundles.InfoName), info); err != nil {
		return builtRuntime{}, err
	}
	lane.Begin("pack")
	packed, name, err := j.pack(ctx, result.Dir, folder.path, id, bundles.PackOptions{})
	if err != nil {
		return builtRuntime{}, err
	}
	r := builtRuntime{Schema: facts.Schema, Key: plan.Key, Digest: packed.Digest, Part: runtimePart(name, packed, report, info)}
	if form == matrix.RuntimeLean {
		if r.Calls, err = definedCalls(result.Dir); err != nil {
			return builtRuntime{}, err
		}
	}
	lane.Begin("place")
	if err := j.placeRuntime(ctx, folder.path, id, r); err != nil {
		return builtRuntime{}, err
	}
	j.progress.Finish(id, fmt.Sprintf("made, verified and packed in %s: %s, %s", time.Since(began).Round(time.Second), name, cli.Size(packed.Size)))
	return r, nil
}

// describeRuntime is what a runtime part says of itself: nothing that another
// release would say otherwise of the same files, or every release would have a part
// of its own, and every user fetch hundreds of MB again. So the program's version is
// left out, of the key too. Of a stock part the image decides alone, and none of the
// tools in it made anything.
func (j cellJob) describeRuntime(cell matrix.Cell, p matrix.Plan, r ci.Result, form string) (bundles.Info, error) {
	info := bundles.Info{
		Schema: facts.Schema, Cell: p.Cell.ID, Platform: p.Cell.Platform, Toolkit: p.Cell.Toolkit, Form: form,
		Image: bundles.Image{Ref: publicRef(imageRef(p, r)), Digest: r.ImageDigest, StandIn: p.StandIn},
		SMs:   p.Cell.SMs, CMake: []string{},
	}
	if form == matrix.RuntimeStock {
		return info, nil
	}
	o := j.plan
	o.Dirs, o.Tool = matrix.ContainerDirs, ""
	same, err := j.matrix.RuntimePlan(cell, form, o)
	info.Key, info.Image.Tools = same.Key, r.Tools
	return info, err
}

// takeReference moves the library that was not pruned out of the folder, and
// records what a driver would choose of it for every GPU that the kept SMs serve.
func takeReference(dir, work string, plan matrix.Plan) (*bundles.Lean, error) {
	reference := filepath.Join(work, matrix.ReferenceDir)
	if err := os.Rename(filepath.Join(dir, matrix.ReferenceDir), reference); err != nil {
		return nil, err
	}
	report, err := inspect.Dir(reference)
	if err != nil {
		return nil, err
	}
	var of []string
	for _, f := range report.Files {
		if f.Device != nil && f.Device.NVIDIA != nil {
			of = append(of, f.Device.NVIDIA.Of...)
		}
	}
	if len(of) != 1 {
		return nil, &cli.Error{Code: cli.ExitFailed, Cure: "use runtime: [host, stock] for this toolkit, or add its cuBLAS to internal/inspect/nvidia.tab (go generate ./internal/inspect)",
			Err: fmt.Errorf("the cuBLAS of CUDA %s is not one whose images this program knows, so that nothing could prove what a lean one keeps", plan.Cell.Toolkit)}
	}
	return compat.LeanOf(of[0], report.Files, compat.ServedBy(plan.Cell.SMs))
}

// runtimePart is what a manifest says of a runtime part.
func runtimePart(name string, packed bundles.Packed, report facts.Report, info bundles.Info) bundles.Part {
	part := appPart(name, packed, report)
	part.Kind, part.Form, part.Lean = bundles.PartRuntime, info.Form, info.Lean
	part.Provides = provides(report)
	part.Floors = compat.PartFloorsOf(part)
	return part
}

// provides are the libraries of NVIDIA's in a folder, by SONAME, with the version
// that the file says or that its images are of.
func provides(r facts.Report) []bundles.Library {
	var list []bundles.Library
	for _, f := range r.Files {
		if f.ELF == nil || f.ELF.NVIDIA == nil || f.Link != "" {
			continue
		}
		l := bundles.Library{Soname: f.ELF.Soname, Version: f.ELF.NVIDIA.Version}
		if d := f.Device; l.Version == "" && d != nil && d.NVIDIA != nil && len(d.NVIDIA.Of) == 1 {
			_, l.Version, _ = strings.Cut(d.NVIDIA.Of[0], "-")
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b bundles.Library) int { return strings.Compare(a.Soname, b.Soname) })
	return list
}

// runtimesDir is the folder in the output with the records of runtime parts.
const runtimesDir = "runtimes"

func (j cellJob) recordName(id string) string {
	return filepath.Join(j.options.out, runtimesDir, id+".json")
}

// madeBefore finds the part of an earlier build with the same key. What a host's
// own toolkit gives has no key that says so.
func (j cellJob) madeBefore(plan matrix.Plan) (r builtRuntime, ok bool) {
	if j.plan.Builder == matrix.BuilderHost {
		return r, false
	}
	data, err := os.ReadFile(j.recordName(plan.Cell.ID))
	if err != nil || json.Unmarshal(data, &r) != nil || r.Schema != facts.Schema || r.Key != plan.Key {
		return builtRuntime{}, false
	}
	info, err := os.Stat(filepath.Join(j.options.out, r.Part.Name))
	return r, err == nil && info.Size() == r.Part.Size // publish hashes it again
}

// placeRuntime moves a finished part to its name and writes its record. Builds
// into one folder take turns, as in place.
func (j cellJob) placeRuntime(ctx context.Context, work, id string, r builtRuntime) error {
	out := j.options.out
	turn, err := os.Open(filepath.Join(out, "cells"))
	if err != nil {
		return err
	}
	defer turn.Close()
	if err := flock.Lock(ctx, turn, nil); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, r.Part.Name), filepath.Join(out, r.Part.Name)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(out, runtimesDir), 0o755); err != nil {
		return err
	}
	temp := filepath.Join(work, "record.json")
	return errors.Join(writeJSON(temp, r), os.Rename(temp, j.recordName(id)))
}

// dropOldRuntimes removes runtime parts that neither a fragment names nor a
// record. Where the fragments cannot be read nothing is.
func dropOldRuntimes(out string) error {
	records, err := filepath.Glob(filepath.Join(out, runtimesDir, "*.json"))
	if err != nil || len(records) == 0 {
		return err
	}
	fragments, err := bundles.ReadFragments(out)
	if err != nil {
		return nil
	}
	keep := map[string]bool{}
	for _, f := range fragments {
		for _, p := range f.Parts {
			keep[p.Name] = true
		}
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	for _, name := range records {
		var r builtRuntime
		if data, err := os.ReadFile(name); err == nil && json.Unmarshal(data, &r) == nil {
			keep[r.Part.Name] = true
		}
		id := strings.TrimSuffix(filepath.Base(name), ".json")
		for _, e := range entries {
			if partOf(e.Name(), id) && !keep[e.Name()] {
				err = errors.Join(err, os.Remove(filepath.Join(out, e.Name())))
			}
		}
	}
	return err
}

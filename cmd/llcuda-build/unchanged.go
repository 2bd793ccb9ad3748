package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/matrix"
)

// receipt is what a build of a cell leaves in logs/ beside its log: what the cell was
// made from, and the fragment that came out. A later build with the same key takes
// what --out holds, where it still holds it.
type receipt struct {
	Schema int `json:"schema"`
	// Key is the digest of everything that decides the fragment, see cellJob.key.
	Key string `json:"key"`
	// Fragment is the digest of CELL.bundle.json.
	Fragment string `json:"fragment"`
	// Packing is how the app part was packed, see bundles.PackOptions.How.
	Packing string `json:"packing,omitempty"`
	// Seconds is how long it took, Slowest the longest of this cell here.
	Seconds float64 `json:"seconds"`
	Slowest float64 `json:"slowest"`
}

func (j cellJob) receiptName(cell string) string {
	return filepath.Join(j.options.out, "logs", cell+".receipt.json")
}

// receiptOf is the zero receipt where there is none that can be read.
func (j cellJob) receiptOf(cell string) (r receipt) {
	data, err := os.ReadFile(j.receiptName(cell))
	if err != nil || json.Unmarshal(data, &r) != nil || r.Schema != facts.Schema {
		return receipt{}
	}
	return r
}

func (j cellJob) writeReceipt(cell, key string, seconds float64) error {
	old := j.receiptOf(cell)
	fragment, err := fileDigest(bundles.FragmentPath(j.options.out, cell))
	if err != nil {
		return err
	}
	name := j.receiptName(cell)
	packing, err := j.options.packing().How()
	if err != nil {
		return err
	}
	r := receipt{Schema: facts.Schema, Key: key, Fragment: fragment, Packing: packing, Seconds: seconds, Slowest: max(seconds, old.Slowest)}
	if err := writeJSON(name+".new", r); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// key is over all that decides a cell's part and fragment: the plan's key (source,
// image, flags, version), what the matrix promises, where the source came from, the
// programs that build and check, and of a host build the tools on PATH. An image that
// is named by a tag is taken for what it was: a lock (plan --lock) or --force is for
// images that move.
func (j cellJob) key(cell matrix.Cell) (string, error) {
	o := j.plan
	o.Dirs = matrix.ContainerDirs
	plan, err := j.matrix.Plan(cell, o)
	if err != nil {
		return "", err
	}
	tools := ""
	if o.Builder == matrix.BuilderHost {
		if tools, err = ci.HostTools(ci.HostOptions{Env: j.env}, plan); err != nil {
			return "", err
		}
	}
	runtimes, err := j.runtimeKeys(cell)
	if err != nil {
		return "", err
	}
	cell.Role = "" // words
	canonical, err := json.Marshal(struct {
		Schema    int
		Plan      string
		Cell      matrix.Cell
		Glibc     string
		MinDriver string
		Promise   []matrix.Promise
		Source    matrix.SourceID
		Programs  []string
		HostTools string
		Runtimes  []string
	}{1, plan.Key, cell, plan.Cell.Glibc, j.matrix.MinDriver(cell.Toolkit), j.matrix.Promise(), j.tree.ID, j.programs, tools, runtimes})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// programs are the digests of what builds and checks: a version alone does not tell
// two builds of a working tree apart.
func programs(builder string, engine string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	files := []string{self}
	if builder == matrix.BuilderDagger {
		files = append(files, engine)
	}
	var all []string
	for _, f := range files {
		digest, err := fileDigest(f)
		if err != nil {
			return nil, err
		}
		all = append(all, digest)
	}
	return all, nil
}

// unchanged are the cells whose key is that of their receipt and whose part, fragment
// and folder are in --out as they were made, by their hashes. The others are built.
func (j cellJob) unchanged(ctx context.Context, cells []matrix.Cell) map[string]builtCell {
	found := make([]builtCell, len(cells))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for i, cell := range cells {
		group.Go(func() error {
			// What cannot be read is built again, and the build says what is wrong.
			key, err := j.key(cell)
			r := j.receiptOf(cell.ID)
			if err != nil || key != r.Key || ctx.Err() != nil {
				return nil
			}
			lane := j.times.Lane(cell.ID)
			lane.Begin("check")
			b, err := j.holds(cell.ID, r)
			if err != nil {
				lane.End("changed")
				j.progress.Printf("%s: building it again: %v", cell.ID, err)
				return nil
			}
			lane.End("unchanged")
			found[i] = b
			return nil
		})
	}
	_ = group.Wait() // nothing fails
	out := map[string]builtCell{}
	for _, b := range found {
		if b.id != "" {
			out[b.id] = b
		}
	}
	return out
}

// holds compares what --out holds of a cell with what was made.
func (j cellJob) holds(cell string, r receipt) (builtCell, error) {
	out := j.options.out
	f, err := j.fragmentOf(cell, r)
	if err != nil {
		return builtCell{}, err
	}
	for digest, part := range f.Parts {
		if part.Release != nil {
			continue // an earlier release holds it
		}
		if err := holdsFile(filepath.Join(out, part.Name), digest); err != nil {
			return builtCell{}, err
		}
	}
	app := f.Parts[f.Bundle.App]
	folder := filepath.Join(out, "cells", cell)
	switch contents, err := bundles.TreeDigest(folder); {
	case err != nil:
		return builtCell{}, err
	case contents != app.Contents:
		return builtCell{}, fmt.Errorf("%s is not as it was made", folder)
	}
	return builtCell{id: cell, part: app.Name, size: app.Size}, nil
}

// fragmentOf is the fragment that a receipt is about, as it was made.
func (j cellJob) fragmentOf(cell string, r receipt) (f bundles.Fragment, err error) {
	name := bundles.FragmentPath(j.options.out, cell)
	if err := holdsFile(name, r.Fragment); err != nil {
		return f, err
	}
	return bundles.ReadFragment(name)
}

// earlierPart is the app part of a cell's last build, where it is as it was made and
// packed as this one will be: what did not change in it is not compressed again. nil
// where there is none, where nothing is to come from an earlier build, and for a draft,
// which is compressed as soon as it is read.
func (j cellJob) earlierPart(cell string) *os.File {
	how, err := j.options.packing().How()
	r := j.receiptOf(cell)
	if err != nil || r.Packing != how || j.fresh != "" || j.options.draft {
		return nil
	}
	f, err := j.fragmentOf(cell, r)
	if err != nil {
		return nil
	}
	part := filepath.Join(j.options.out, f.Parts[f.Bundle.App].Name)
	if holdsFile(part, f.Bundle.App) != nil {
		return nil
	}
	file, err := os.Open(part)
	if err != nil {
		return nil
	}
	return file
}

func holdsFile(name, digest string) error {
	switch have, err := fileDigest(name); {
	case err != nil:
		return err
	case have != digest:
		return fmt.Errorf("%s is not as it was made", name)
	}
	return nil
}

func fileDigest(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

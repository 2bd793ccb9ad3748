package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

// maxInfo bounds bundle.json, which is read whole.
const maxInfo = 1 << 20

// partRead is what a packed part says of itself.
type partRead struct {
	report   facts.Report
	info     []byte
	contents string
	unpacked int64
	// misses are those of the second witness, asked the files it was shown.
	misses []verify.Miss
	asked  int
}

type opener func(context.Context) (io.ReadCloser, error)

func openFile(path string) opener {
	return func(context.Context) (io.ReadCloser, error) {
		// A pipe that nobody writes to would be waited for, and none is read twice.
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("reading %s: not a regular file", path)
		}
		return os.Open(path)
	}
}

// readPart reads the facts of a packed part without unpacking it. With a tool,
// files with device code are copied to a temporary folder, one at a time, for
// the tool to read.
func readPart(ctx context.Context, open opener, o bundles.UnpackOptions, tool *verify.Tool) (partRead, error) {
	cli.BoundMemory(bundles.MemoryToRead() + besideReading)
	p := partRead{report: facts.Report{Schema: facts.Schema, Files: []facts.File{}}}
	var faults []error
	contents, err := bundles.ReadMembers(ctx, open, o, func(e bundles.Entry, r io.ReaderAt) error {
		p.unpacked += e.Size
		switch {
		case e.Type == bundles.TypeLink:
			p.report.Files = append(p.report.Files, facts.File{Path: e.Path, Link: e.Target})
			return nil
		case e.Type != bundles.TypeFile:
			return nil
		case e.Path == bundles.InfoName && e.Size <= maxInfo:
			p.info = make([]byte, e.Size)
			if _, err := io.ReadFull(io.NewSectionReader(r, 0, e.Size), p.info); err != nil {
				return err
			}
		}
		f, err := inspect.Reader(r, e.Size, e.Path, inspect.CPU)
		var damaged *inspect.FormatError
		if errors.As(err, &damaged) {
			faults = append(faults, err)
			return nil
		}
		if err != nil {
			return err
		}
		p.report.Files = append(p.report.Files, f)
		if tool == nil || f.ELF == nil || f.Device == nil {
			return nil
		}
		misses, err := askAboutCopy(ctx, *tool, f, r)
		p.asked++
		p.misses = append(p.misses, misses...)
		return err
	})
	if err == nil {
		err = errors.Join(faults...)
	}
	if err != nil {
		return partRead{}, err
	}
	p.contents = contents
	slices.SortFunc(p.report.Files, func(a, b facts.File) int { return strings.Compare(a.Path, b.Path) })
	inspect.Surround(&p.report)
	addFloors(&p.report)
	return p, nil
}

// besideReading is how much memory a packed part may take beside what reading it
// takes.
const besideReading = 48 << 20

// askAboutCopy puts one file on disk for cuobjdump, and takes it away again.
func askAboutCopy(ctx context.Context, t verify.Tool, f facts.File, r io.ReaderAt) ([]verify.Miss, error) {
	dir, err := os.MkdirTemp("", "llcuda-verify-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, filepath.Base(f.Path))
	w, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(w, io.NewSectionReader(r, 0, f.Size))
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("copying %s for cuobjdump: %w", f.Path, err)
	}
	misses, _, err := verify.Ask(ctx, t, name, f)
	return misses, err
}

// readInfo reads bundle.json; without one it is empty.
func readInfo(data []byte) (bundles.Info, error) {
	var info bundles.Info
	if len(data) == 0 {
		return info, nil
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("%s: %w", bundles.InfoName, err)
	}
	if info.Schema != facts.Schema {
		return info, fmt.Errorf("%s has schema %d, this program knows %d", bundles.InfoName, info.Schema, facts.Schema)
	}
	return info, nil
}

// planOf is the plan of the cell that a bundle says it was built for, in the
// image that it says it was built in.
func planOf(m *matrix.Matrix, target string, info bundles.Info, cellID string) (matrix.Plan, error) {
	if cellID == "" {
		cellID = info.Cell
	}
	if cellID == "" {
		return matrix.Plan{}, &cli.Error{Err: fmt.Errorf("%s says nowhere which cell it is: it has no %s", target, bundles.InfoName), Code: cli.ExitUsage,
			Cure: "name the cell with --cell ID; llcuda-build plan lists them"}
	}
	return planOfImage(m, cellID, info.Image)
}

// planOfImage is the plan of a cell in the image that was really used.
func planOfImage(m *matrix.Matrix, cellID string, image bundles.Image) (matrix.Plan, error) {
	o := matrix.PlanOptions{Dirs: matrix.ContainerDirs, Tool: version, Builder: matrix.BuilderDagger}
	cell, err := m.Cell(cellID)
	if err != nil {
		return matrix.Plan{}, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	if image.Ref == matrix.BuilderHost {
		o.Builder = matrix.BuilderHost
	} else if image.StandIn {
		toolkit := cell.Toolkit
		if toolkit == "" {
			toolkit = "cpu"
		}
		o.ImageFor = map[string]string{toolkit: image.Ref}
	}
	return m.Plan(cell, o)
}

// findCuobjdump is the tool to ask, nil for none.
func findCuobjdump(ctx context.Context, flag string) (*verify.Tool, error) {
	path := flag
	switch flag {
	case "off":
		return nil, nil
	case "auto":
		found, err := exec.LookPath("cuobjdump")
		if err != nil {
			return nil, nil // auto: where one is there
		}
		path = found
	}
	if _, err := os.Stat(path); err != nil {
		return nil, &cli.Error{Err: fmt.Errorf("--cuobjdump: %w", err), Code: cli.ExitUsage}
	}
	t := &verify.Tool{Run: runTool(path)}
	if out, _, code, err := t.Run(ctx, "--version"); err == nil && code == 0 {
		if v := toolVersion.FindStringSubmatch(string(out)); v != nil {
			t.Version = v[1]
		}
	}
	return t, nil
}

// toolVersion finds "V12.4.127" in what cuobjdump says of itself.
var toolVersion = lazyregexp.New(`release [0-9.]+, V([0-9.]+)`)

// runTool asks a cuobjdump on this machine.
func runTool(tool string) verify.Run {
	return func(ctx context.Context, args ...string) (stdout, stderr []byte, code int, err error) {
		var out, diag bytes.Buffer
		c := exec.CommandContext(ctx, tool, args...)
		c.Stdout, c.Stderr = &out, &diag
		err = c.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || ctx.Err() != nil {
			return out.Bytes(), diag.Bytes(), 0, err
		}
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return out.Bytes(), diag.Bytes(), 128 + int(s.Signal()), nil // as a shell says it
		}
		return out.Bytes(), diag.Bytes(), exit.ExitCode(), nil
	}
}

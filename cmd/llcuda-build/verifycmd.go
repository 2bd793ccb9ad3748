package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

type verifyOptions struct {
	matrixFile string
	target     string
	cell       string
	cuobjdump  string
	json       bool
}

func newVerify(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify DIR|TARBALL",
		Short: "hold a finished bundle against its cell; exit 1 names each miss",
		Long: `Reads the truth from the files of an app part, unpacked or packed, and holds it
against the cell that its bundle.json names (or --cell). cuobjdump, where one is
on PATH, is asked about the same files and has to agree.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.matrixFile, o.target = *matrixFile, args[0]
			return runVerify(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.cell, "cell", "", "hold it against the cell `ID`, whatever bundle.json says")
	f.StringVar(&o.cuobjdump, "cuobjdump", "auto", "the second witness: `auto|off|PATH`")
	f.BoolVar(&o.json, "json", false, "print the misses as JSON (schema 1)")
	return c
}

func runVerify(ctx context.Context, s *cli.Streams, o verifyOptions) error {
	m, err := loadMatrix(o.matrixFile)
	if err != nil {
		return err
	}
	tool, err := findCuobjdump(o.cuobjdump)
	if err != nil {
		return err
	}
	dir, clean, err := unpacked(ctx, o.target)
	if err != nil {
		return err
	}
	defer clean()
	plan, err := planOf(m, dir, o.cell)
	if err != nil {
		return err
	}
	report, err := readFacts(dir)
	if err != nil {
		return err
	}
	misses := verify.Cell(plan, report, verify.Options{MaxGlibc: plan.Cell.Glibc})
	witnesses := "one witness"
	if tool != "" && plan.Cell.Toolkit != "" {
		witnesses = "both witnesses"
		for _, f := range report.Files {
			if f.ELF == nil || f.Link != "" {
				continue
			}
			found, err := verify.Cuobjdump(ctx, runTool(tool), filepath.Join(dir, f.Path), f)
			if err != nil {
				return err
			}
			misses = append(misses, found...)
		}
	}
	if o.json {
		if err := s.PrintJSON(struct {
			Schema int           `json:"schema"`
			Cell   string        `json:"cell"`
			Misses []verify.Miss `json:"misses"`
		}{facts.Schema, plan.Cell.ID, append([]verify.Miss{}, misses...)}); err != nil {
			return err
		}
	}
	if len(misses) > 0 {
		return missesError(misses)
	}
	if !o.json {
		fmt.Fprintf(s.Out, "%s holds what %s promises (%s)\n", o.target, plan.Cell.ID, witnesses)
	}
	return nil
}

// unpacked is the folder to look into: target itself, or a temporary one with
// what the tarball holds.
func unpacked(ctx context.Context, target string) (dir string, clean func(), err error) {
	info, err := os.Stat(target)
	if err != nil {
		return "", nil, err
	}
	if info.IsDir() {
		return target, func() {}, nil
	}
	f, err := os.Open(target)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	work, err := os.MkdirTemp("", "llcuda-verify-")
	if err != nil {
		return "", nil, err
	}
	clean = func() { os.RemoveAll(work) }
	dir = filepath.Join(work, "part")
	if _, err := bundles.Unpack(ctx, f, dir, bundles.UnpackOptions{Name: target}); err != nil {
		clean()
		return "", nil, err
	}
	return dir, clean, nil
}

// planOf is the plan of the cell that a folder says it was built for, in the
// image that it says it was built in.
func planOf(m *matrix.Matrix, dir, cellID string) (matrix.Plan, error) {
	o := matrix.PlanOptions{Dirs: matrix.ContainerDirs, Tool: version, Builder: matrix.BuilderDagger}
	var info bundles.Info
	data, err := os.ReadFile(filepath.Join(dir, bundles.InfoName))
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &info); err != nil {
			return matrix.Plan{}, fmt.Errorf("%s: %w", bundles.InfoName, err)
		}
		if info.Schema != facts.Schema {
			return matrix.Plan{}, fmt.Errorf("%s has schema %d, this program knows %d", bundles.InfoName, info.Schema, facts.Schema)
		}
	case cellID == "":
		return matrix.Plan{}, &cli.Error{Err: fmt.Errorf("%s says nowhere which cell it is: %w", dir, err), Code: cli.ExitUsage,
			Cure: "name the cell with --cell ID; llcuda-build plan lists them"}
	case !errors.Is(err, os.ErrNotExist):
		return matrix.Plan{}, err
	}
	if cellID == "" {
		cellID = info.Cell
	}
	cell, err := m.Cell(cellID)
	if err != nil {
		return matrix.Plan{}, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	if info.Image.Ref == matrix.BuilderHost {
		o.Builder = matrix.BuilderHost
	} else if info.Image.StandIn {
		toolkit := cell.Toolkit
		if toolkit == "" {
			toolkit = "cpu"
		}
		o.ImageFor = map[string]string{toolkit: info.Image.Ref}
	}
	return m.Plan(cell, o)
}

// findCuobjdump is the tool to ask, "" for none.
func findCuobjdump(flag string) (string, error) {
	switch flag {
	case "off":
		return "", nil
	case "auto":
		path, err := exec.LookPath("cuobjdump")
		if err != nil {
			return "", nil // auto: where one is there
		}
		return path, nil
	}
	if _, err := os.Stat(flag); err != nil {
		return "", &cli.Error{Err: fmt.Errorf("--cuobjdump: %w", err), Code: cli.ExitUsage}
	}
	return flag, nil
}

// runTool asks a cuobjdump on this machine.
func runTool(tool string) verify.Run {
	return func(ctx context.Context, args ...string) (stdout, stderr []byte, code int, err error) {
		var out, diag bytes.Buffer
		c := exec.CommandContext(ctx, tool, args...)
		c.Stdout, c.Stderr = &out, &diag
		err = c.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return out.Bytes(), diag.Bytes(), exit.ExitCode(), nil
		}
		return out.Bytes(), diag.Bytes(), 0, err
	}
}

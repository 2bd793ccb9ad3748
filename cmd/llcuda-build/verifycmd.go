package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	keys       []string
	json       bool
	rebuild    bool
	build      buildOptions
	keep       string
}

func newVerify(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify DIR|TARBALL|RELEASE, verify --rebuild [CELL...]",
		Short: "hold a finished bundle, or a whole release, against its cells; exit 1 names each miss",
		Long: `Reads the truth from the files of an app part, unpacked or packed, and holds it
against the cell that its bundle.json names (or --cell): machine code for each
SM in every unit, no other PTX, drivers and glibc within the promise.

A packed part is not unpacked. Of a RELEASE (dir:PATH, a release's folder,
https://…, github:OWNER/REPO[@TAG]) the signature is checked first; then every
part's size, digest and contents, that what the manifest publishes of it is what
is read back, and each bundle against its cell.

cuobjdump, where one is on PATH, is asked about the same files and has to agree.
It reads only files on disk: of a packed part it is asked where --cuobjdump PATH
names it, and gets a temporary copy of one file with device code after another.

With --rebuild it builds cells (all of the matrix without names) twice, without
any cache and in folders of different names, and holds the two parts against each
other: the same bytes, or each file that differs and where.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.rebuild {
				return nil
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := rebuildFlagsAlone(cmd, o.rebuild); err != nil {
				return err
			}
			if o.rebuild {
				o.build.matrixFile, o.build.cells = *matrixFile, args
				return prepareRebuild(cmd.Context(), s, o)
			}
			o.matrixFile, o.target = *matrixFile, args[0]
			if v := s.Env("LLCUDA_KEY"); v != "" && len(o.keys) == 0 {
				o.keys = bundles.KeysIn(v)
			}
			return runVerify(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.cell, "cell", "", "hold it against the cell `ID`, whatever bundle.json says")
	f.StringVar(&o.cuobjdump, "cuobjdump", "auto", "the second witness: `auto|off|PATH`")
	f.StringArrayVar(&o.keys, "key", nil, "trust this minisign public `KEY` or .pub file too, for a release (env LLCUDA_KEY)")
	f.BoolVar(&o.json, "json", false, "print the misses as JSON (schema 1)")
	rebuildFlags(f, &o)
	return c
}

// verdict is what verify found of one target.
type verdict struct {
	// target names it in the sentence of success, promise what it holds.
	target, promise string
	cell            string
	misses          []partMiss
	// asked counts files that cuobjdump was asked about.
	asked int
}

func runVerify(ctx context.Context, s *cli.Streams, o verifyOptions) error {
	m, err := loadMatrix(o.matrixFile)
	if err != nil {
		return err
	}
	tool, err := findCuobjdump(ctx, o.cuobjdump)
	if err != nil {
		return err
	}
	var v verdict
	switch kind, err := kindOf(o.target); {
	case err != nil:
		return err
	case kind == targetRelease && o.cell != "":
		return cli.Usagef("--cell is for a folder or a part: the bundles of a release name their cells")
	case kind == targetRelease:
		v, err = verifyRelease(ctx, s, m, o, onlyNamed(tool, o))
		if err != nil {
			return err
		}
	case kind == targetPart:
		v, err = verifyPart(ctx, m, o, onlyNamed(tool, o))
		if err != nil {
			return err
		}
	default:
		v, err = verifyFolder(ctx, m, o, tool)
		if err != nil {
			return err
		}
	}
	if o.json {
		if err := s.PrintJSON(struct {
			Schema int        `json:"schema"`
			Cell   string     `json:"cell,omitempty"`
			Misses []partMiss `json:"misses"`
		}{facts.Schema, v.cell, append([]partMiss{}, v.misses...)}); err != nil {
			return err
		}
	}
	if len(v.misses) > 0 {
		return partMissesError(v.misses)
	}
	if !o.json {
		witnesses := "one witness"
		if v.asked > 0 {
			witnesses = "both witnesses"
		}
		fmt.Fprintf(s.Out, "%s holds what %s (%s)\n", v.target, v.promise, witnesses)
	}
	return nil
}

// Kinds of targets.
const (
	targetFolder = iota
	targetPart
	targetRelease
)

// kindOf tells a release from a folder or file by its form, and a release's
// folder, or a folder of releases, by what lies in it.
func kindOf(target string) (int, error) {
	for _, prefix := range []string{"dir:", "github:", "http://", "https://"} {
		if strings.HasPrefix(target, prefix) {
			return targetRelease, nil
		}
	}
	info, err := os.Stat(target)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return targetPart, nil
	}
	for _, name := range []string{bundles.ManifestName, bundles.LatestName} {
		if _, err := os.Stat(filepath.Join(target, name)); err == nil {
			return targetRelease, nil
		}
	}
	return targetFolder, nil
}

// onlyNamed is the tool where the user named it: what is packed is put on disk
// for it only then.
func onlyNamed(t *verify.Tool, o verifyOptions) *verify.Tool {
	if o.cuobjdump == "auto" {
		return nil
	}
	return t
}

func verifyFolder(ctx context.Context, m *matrix.Matrix, o verifyOptions, tool *verify.Tool) (verdict, error) {
	data, err := os.ReadFile(filepath.Join(o.target, bundles.InfoName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return verdict{}, err
	}
	info, err := readInfo(data)
	if err != nil {
		return verdict{}, err
	}
	if info.Form != "" {
		report, err := readFacts(o.target)
		if err != nil {
			return verdict{}, err
		}
		return verifyRuntime(m, o, info, report), nil
	}
	plan, err := planOf(m, o.target, info, o.cell)
	if err != nil {
		return verdict{}, err
	}
	report, err := readFacts(o.target)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{target: o.target, promise: plan.Cell.ID + " promises", cell: plan.Cell.ID}
	v.add("", promiseMisses(m, plan, report))
	if tool == nil || plan.Cell.Toolkit == "" {
		return v, nil
	}
	for _, f := range report.Files {
		if f.ELF == nil || f.Link != "" {
			continue
		}
		found, _, err := verify.Ask(ctx, *tool, filepath.Join(o.target, f.Path), f)
		if err != nil {
			return verdict{}, err
		}
		v.asked++
		v.add("", found)
	}
	return v, nil
}

func verifyPart(ctx context.Context, m *matrix.Matrix, o verifyOptions, tool *verify.Tool) (verdict, error) {
	read, err := readPart(ctx, openFile(o.target), bundles.UnpackOptions{Name: o.target}, tool)
	if err != nil {
		return verdict{}, err
	}
	info, err := readInfo(read.info)
	if err != nil {
		return verdict{}, err
	}
	if info.Form != "" {
		return verifyRuntime(m, o, info, read.report), nil
	}
	plan, err := planOf(m, o.target, info, o.cell)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{target: o.target, promise: plan.Cell.ID + " promises", cell: plan.Cell.ID, asked: read.asked}
	v.add("", promiseMisses(m, plan, read.report))
	v.add("", read.misses)
	return v, nil
}

func (v *verdict) add(part string, misses []verify.Miss) {
	for _, m := range misses {
		v.misses = append(v.misses, partMiss{Part: part, Miss: m})
	}
}

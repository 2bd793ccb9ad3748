package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, s *cli.Streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := cli.Execute(ctx, root, s)
	code := cli.Code(ctx, err)
	cli.Report(s.Err, "llcuda-build", code, err)
	return code
}

func newRoot(s *cli.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:     "llcuda-build",
		Short:   "build llama.cpp for NVIDIA GPUs, and check what the binaries really hold",
		Version: cli.VersionText(version, commit),
	}
	matrixFile := root.PersistentFlags().String("matrix", matrix.DefaultName, "the matrix `FILE`; outside a checkout the one of this program")
	root.AddCommand(
		newPlan(s, matrixFile),
		newBuild(s, matrixFile),
		newInspect(s),
		newVerify(s, matrixFile),
		newCoverage(s, matrixFile),
		newKeygen(s),
		newSign(s),
		newPrograms(s, matrixFile),
		newCcache(s, matrixFile),
		newPublish(s, matrixFile),
		newModels(s),
	)
	cli.AddExtra(root)
	return root
}

func loadMatrix(file string) (*matrix.Matrix, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && file == matrix.DefaultName {
		data, err = matrix.Default(), nil // outside a checkout
	}
	if err != nil {
		return nil, &cli.Error{Err: err, Code: cli.ExitUsage,
			Cure: "run it from the repository's root, or name the matrix with --matrix FILE"}
	}
	m, err := matrix.Load(file, data)
	if err != nil {
		return nil, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	return m, nil
}

// cellsNamed are the named cells in the order given; all of the matrix's
// without names.
func cellsNamed(m *matrix.Matrix, ids []string) ([]matrix.Cell, error) {
	if len(ids) == 0 {
		return m.Cells(), nil
	}
	cells := make([]matrix.Cell, 0, len(ids))
	for _, id := range ids {
		c, err := m.Cell(id)
		if err != nil {
			return nil, err // it names the cells there are, and exits 2
		}
		if !slices.ContainsFunc(cells, func(other matrix.Cell) bool { return other.ID == c.ID }) {
			cells = append(cells, c)
		}
	}
	return cells, nil
}

// checkBuilder is for what --builder may say.
func checkBuilder(name string) error {
	if name != matrix.BuilderDagger && name != matrix.BuilderHost {
		return cli.Usagef("--builder %q: it is dagger or host", name)
	}
	return nil
}

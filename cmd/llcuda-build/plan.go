package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

type planOptions struct {
	matrixFile string
	cells      []string
	images     []string
	json       bool
	github     bool
	lock       bool
}

func newPlan(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan [CELL...]",
		Short: "what would be built: cells, images, SMs, cmake arguments, cache keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.matrixFile, o.cells = *matrixFile, args
			if o.lock {
				return runLock(cmd.Context(), s, o)
			}
			return runPlan(s, o)
		},
	}
	c.Flags().BoolVar(&o.json, "json", false, "print the plan as JSON (schema 1)")
	c.Flags().BoolVar(&o.github, "github", false, "print a GitHub workflow matrix")
	c.Flags().StringArrayVar(&o.images, "image", nil, "build `TOOLKIT=REF` in another image than the matrix names")
	c.Flags().BoolVar(&o.lock, "lock", false, "ask the registries for the digest of every image and write the lock file beside the matrix")
	c.MarkFlagsMutuallyExclusive("json", "github", "lock")
	c.MarkFlagsMutuallyExclusive("image", "lock")
	return c
}

func runPlan(s *cli.Streams, o planOptions) error {
	m, cells, images, err := selected(o.matrixFile, o.cells, o.images)
	if err != nil {
		return err
	}
	// The source's commit is known only once it is fetched: the key printed
	// here is over the ref that the matrix names.
	plans, err := plansFor(m, cells, matrix.PlanOptions{
		Dirs: matrix.ContainerDirs, ImageFor: images, Source: m.Source(), Tool: version, Builder: "dagger",
	})
	if err != nil {
		return err
	}
	switch {
	case o.github:
		return matrix.WriteGitHub(s.Out, plans)
	case o.json:
		return matrix.WriteJSON(s.Out, plans)
	default:
		return matrix.WriteTable(s.Out, plans)
	}
}

// plansFor plans cells. What a plan complains of is the command line, the same
// for every cell: the first error is enough.
func plansFor(m *matrix.Matrix, cells []matrix.Cell, o matrix.PlanOptions) ([]matrix.Plan, error) {
	plans := make([]matrix.Plan, 0, len(cells))
	for _, c := range cells {
		p, err := m.Plan(c, o)
		if err != nil {
			return nil, &cli.Error{Err: err, Code: cli.ExitUsage}
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// selected reads the matrix, and of it the cells and images that a command line
// names.
func selected(matrixFile string, ids, flags []string) (*matrix.Matrix, []matrix.Cell, map[string]string, error) {
	m, err := loadMatrix(matrixFile)
	if err != nil {
		return nil, nil, nil, err
	}
	cells, err := cellsNamed(m, ids)
	if err != nil {
		return nil, nil, nil, err
	}
	images, err := imagesFor(m, matrixFile, flags)
	return m, cells, images, err
}

// imagesFor are the images that --image gives, and of the others those that the
// lock file pins.
func imagesFor(m *matrix.Matrix, matrixFile string, flags []string) (map[string]string, error) {
	images, err := parseImages(flags)
	if err != nil {
		return nil, err
	}
	return pinned(m, matrixFile, images)
}

// parseImages reads --image TOOLKIT=REF flags; the cpu cell's toolkit is "cpu".
func parseImages(flags []string) (map[string]string, error) {
	images := map[string]string{}
	for _, f := range flags {
		toolkit, ref, ok := strings.Cut(f, "=")
		if !ok || toolkit == "" || ref == "" {
			return nil, cli.Usagef("--image %q is not of the form TOOLKIT=REF, as in 11.8.0=registry/name:tag or cpu=name:tag", f)
		}
		images[toolkit] = ref
	}
	return images, nil
}

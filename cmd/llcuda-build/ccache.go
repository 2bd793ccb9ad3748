package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

func newCcache(s *cli.Streams, matrixFile *string) *cobra.Command {
	var images []string
	maxSize := "1G"
	c := &cobra.Command{
		Use:   "ccache",
		Short: "carry the compiler cache of a cell from one machine's engine to another's",
		Long: `A build through Dagger keeps ccache's files in a volume of its engine, one for each
image. On a machine that is new every time they are brought with load before a
build, and taken with save after it. They only make a build faster: what does not
belong to the same inputs is not used. Load only what trusted builds wrote.`,
	}
	run := func(do func(context.Context, ci.DaggerOptions, matrix.Plan, string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			m, cells, given, err := selected(*matrixFile, args[:1], images)
			if err != nil {
				return err
			}
			plans, err := plansFor(m, cells, matrix.PlanOptions{Dirs: matrix.ContainerDirs, ImageFor: given, Tool: version, Builder: matrix.BuilderDagger})
			if err != nil {
				return err
			}
			engine, err := engineOptions(s)
			if err != nil {
				return err
			}
			engine.Stall = 5 * time.Minute
			err = do(cmd.Context(), engine, plans[0], args[1])
			var failed *ci.StepError
			if errors.As(err, &failed) { // no log file holds what the step said
				fmt.Fprintln(s.Err, strings.Join(failed.Tail, "\n"))
			}
			return err
		}
	}
	save := &cobra.Command{Use: "save CELL FILE", Short: "write the cell's compiler cache as a tar to FILE", Args: cobra.ExactArgs(2),
		RunE: run(func(ctx context.Context, o ci.DaggerOptions, p matrix.Plan, file string) error {
			return ci.SaveCcache(ctx, o, p, file, maxSize)
		})}
	save.Flags().StringVar(&maxSize, "max-size", maxSize, "drop the oldest files until `SIZE` is left")
	load := &cobra.Command{Use: "load CELL FILE", Short: "put what save wrote into the engine's cache", Args: cobra.ExactArgs(2),
		RunE: run(ci.LoadCcache)}
	c.PersistentFlags().StringArrayVar(&images, "image", nil, "`TOOLKIT=REF`, as for build")
	c.AddCommand(save, load)
	return c
}

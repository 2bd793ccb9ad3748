package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
)

func newInspect(s *cli.Streams) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect FILE|DIR...",
		Short: "what a binary really holds: SASS, PTX, floors, libraries (no toolkit needed)",
		Args:  cobra.MinimumNArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return runInspect(s, args, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the facts as JSON (schema 1)")
	return c
}

func runInspect(s *cli.Streams, paths []string, asJSON bool) error {
	report := facts.Report{Schema: facts.Schema, Files: []facts.File{}}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			found, err := inspect.Dir(path)
			if err != nil {
				return err
			}
			report.Files = append(report.Files, found.Files...)
			continue
		}
		file, err := inspect.File(path)
		if err != nil {
			return err
		}
		report.Files = append(report.Files, file)
	}
	addFloors(&report)
	if asJSON {
		return s.PrintJSON(report)
	}
	return inspect.Table(s.Out, report)
}

// addFloors computes, for every file with device code, where it runs from which driver on.
func addFloors(report *facts.Report) {
	for i := range report.Files {
		if report.Files[i].Device != nil {
			report.Files[i].Device.Floors = compat.Floors(report.Files[i])
		}
	}
}

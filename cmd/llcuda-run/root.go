//go:build linux && amd64

package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/internal/cli"
)

// run is the whole program but for the process around it. readHost tells what
// machine this is.
func run(ctx context.Context, args []string, s *cli.Streams, readHost hostReader) int {
	root := newRoot(s, readHost)
	root.SetArgs(withServe(root, args))
	err := cli.Execute(ctx, root, s)
	code := cli.Code(ctx, err)
	cli.Report(s.Err, "llcuda-run", code, err)
	return code
}

func newRoot(s *cli.Streams, readHost hostReader) *cobra.Command {
	root := &cobra.Command{
		Use:     "llcuda-run",
		Short:   "serve a model with the llama.cpp bundle that runs on this machine's GPUs",
		Version: cli.VersionText(version, commit),
	}
	root.AddCommand(
		newServe(s, readHost), newPull(s, readHost), newSelftest(s, readHost), newDoctor(s, readHost), newWhy(s, readHost),
		newList(s), newRemove(s), newGC(s), newModels(s), newProbe(s),
	)
	cli.AddExtra(root)
	return root
}

// withServe makes `llcuda-run MODEL` mean `llcuda-run serve MODEL`: a first
// argument that is neither a flag nor a command is a model.
func withServe(root *cobra.Command, args []string) []string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return args
	}
	switch args[0] {
	case "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return args
	}
	for _, c := range root.Commands() {
		if c.Name() == args[0] || c.HasAlias(args[0]) {
			return args
		}
	}
	return append([]string{"serve"}, args...)
}

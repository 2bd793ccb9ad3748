// Command llcuda-engine is the half of llcuda-build that speaks with container
// engines and image registries. llcuda-build starts it; see package ci/engine.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/waqasm86/llcuda/ci/engine"
	"github.com/waqasm86/llcuda/internal/cli"
)

// version is set by the linker, see Makefile.
var version = "unknown"

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	code := run(ctx, os.Args[1:], cli.NewStreams(os.Stdin, os.Stdout, os.Stderr, os.Environ()))
	stop()
	os.Exit(code)
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, s *cli.Streams) int {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Fprintln(s.Out, "llcuda-engine version", version)
		return cli.ExitOK
	}
	err := engine.Run(ctx, args, s.EnvMap(), s.In, s.Out)
	code := cli.Code(ctx, err)
	cli.Report(s.Err, "llcuda-engine", code, err)
	return code
}

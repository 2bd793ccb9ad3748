// Command llcuda-build compiles llama.cpp for the cells of a matrix, reads the
// truth back from every finished binary, and publishes bundles with a signed
// manifest. It holds flags, wording and exit codes; the work is in the packages.
package main

import (
	"context"
	"os"

	"github.com/waqasm86/llcuda/internal/cli"
)

// version and commit are set by the linker, see Makefile.
var (
	version = "unknown"
	commit  = ""
)

func main() {
	ctx, stop := cli.WithSignals(context.Background())
	code := run(ctx, os.Args[1:], cli.NewStreams(os.Stdin, os.Stdout, os.Stderr, os.Environ()))
	stop()
	os.Exit(code)
}

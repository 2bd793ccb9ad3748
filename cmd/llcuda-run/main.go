//go:build linux && amd64

// Command llcuda-run reads a host's NVIDIA driver and GPUs, picks the bundle
// that will run there and says why, installs it once, and serves a model with
// llama-server. It holds flags, wording and exit codes; the work is in the
// packages.
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
	s := cli.NewStreams(os.Stdin, os.Stdout, os.Stderr, os.Environ())
	code := run(ctx, os.Args[1:], s, thisHost(s))
	stop()
	os.Exit(code)
}

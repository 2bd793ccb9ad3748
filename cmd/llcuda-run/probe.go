//go:build linux && amd64

package main

import (
	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/host"
)

// probeCommand is the hidden command that internal/host runs in a child: what
// it loads may crash or hang.
const probeCommand = "probe-driver"

func newProbe(s *cli.Streams) *cobra.Command {
	return &cobra.Command{
		Use:    probeCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return host.Probe(s.In, s.Out) },
	}
}

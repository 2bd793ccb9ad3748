package cli

import "github.com/spf13/cobra"

// extra are commands that a program has with a build tag only, see man.go.
var extra []func(root *cobra.Command) *cobra.Command

// AddExtra gives root what a build tag asks for; without one, nothing.
func AddExtra(root *cobra.Command) {
	for _, command := range extra {
		root.AddCommand(command(root))
	}
}

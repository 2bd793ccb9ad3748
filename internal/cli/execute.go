package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

// Execute runs a command with both programs' manners: results on stdout, no
// usage text after an error, and a mistake in the command line is a *UsageError.
func Execute(ctx context.Context, root *cobra.Command, s *Streams) error {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &UsageError{Msg: err.Error()} })
	// Arguments that a command does not take, and unknown commands, come back
	// from cobra as plain errors before RunE: tell them by whether RunE began.
	began := false
	markBegin(root, &began)
	err := root.ExecuteContext(ctx)
	var usage *UsageError
	if err != nil && !began && !errors.As(err, &usage) {
		return &UsageError{Msg: err.Error()}
	}
	return err
}

func markBegin(c *cobra.Command, began *bool) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*began = true
			return run(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		markBegin(sub, began)
	}
}

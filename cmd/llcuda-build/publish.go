package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/release"
)

type publishOptions struct {
	tag, dist  string
	to         string
	signKey    string
	repository string
	dryRun     bool
}

func newPublish(s *cli.Streams) *cobra.Command {
	var o publishOptions
	c := &cobra.Command{
		Use:   "publish TAG DIST",
		Short: "sign what build left in DIST and publish it as release TAG",
		Long: `Joins the bundles of DIST into one manifest, signs it, and puts manifest,
signature, SHA256SUMS and parts where --to says. Everything is hashed again
first. Safe to repeat: the same release again changes nothing, another one under
a tag that exists is refused.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.tag, o.dist = args[0], args[1]
			return runPublish(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "the target, `dir:PATH`")
	f.StringVar(&o.signKey, "sign-key", "", "the minisign secret key `FILE` (env LLCUDA_SIGN_KEY)")
	f.StringVar(&o.repository, "repository", "", "`NAME` that the signature binds, as github:OWNER/REPO")
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything and print what would be done")
	return c
}

func runPublish(ctx context.Context, s *cli.Streams, o publishOptions) error {
	path, ok := strings.CutPrefix(o.to, "dir:")
	if !ok || path == "" {
		return cli.Usagef("--to %q: it is dir:PATH", o.to)
	}
	key, err := signingKey(s, o.signKey)
	if err != nil {
		return err
	}
	p, err := release.PublishDir(ctx, release.PublishInput{
		Path: path, Tag: o.tag, DistDir: o.dist, Key: key, Repository: o.repository,
		Tool: "llcuda-build " + version, DryRun: o.dryRun, Log: s.Err,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s\tsequence %d\t%d parts\t%s\t%s\n", p.Release, p.Sequence, p.Parts, cli.Size(p.Bytes), p.Dir)
	return nil
}

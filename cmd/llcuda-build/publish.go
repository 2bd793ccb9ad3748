package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/release"
	"github.com/waqasm86/llcuda/matrix"
)

type publishOptions struct {
	matrixFile string
	tag, dist  string
	to         string
	signKey    string
	repository string
	dryRun     bool
	partial    bool
}

func newPublish(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o publishOptions
	c := &cobra.Command{
		Use:   "publish TAG DIST",
		Short: "sign what build left in DIST and publish it as release TAG",
		Long: `Joins the bundles of DIST into one manifest, signs it, and puts manifest,
signature, SHA256SUMS and parts where --to says. Everything is hashed again
first. Safe to repeat: the same release again changes nothing, another one under
a tag that exists is refused.

A release that does not serve what the matrix promises is refused, each hole
named (llcuda-build coverage --from DIST shows the grid). --partial lets it
through to a folder, for a mirror of a few cells or a test.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.matrixFile, o.tag, o.dist = *matrixFile, args[0], args[1]
			return runPublish(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "the target, `dir:PATH`")
	f.StringVar(&o.signKey, "sign-key", "", "the minisign secret key `FILE` (env LLCUDA_SIGN_KEY)")
	f.StringVar(&o.repository, "repository", "", "`NAME` that the signature binds, as github:OWNER/REPO")
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything and print what would be done")
	f.BoolVar(&o.partial, "partial", false, "publish to a folder though the matrix's promise has holes")
	return c
}

func runPublish(ctx context.Context, s *cli.Streams, o publishOptions) error {
	if strings.HasPrefix(o.to, "github:") {
		if o.partial {
			// Everybody's default source: what it lacks, its users lack.
			return cli.Usagef("--partial is for dir: targets; a release on GitHub keeps the whole promise")
		}
		return refuseGitHub(o)
	}
	path, ok := strings.CutPrefix(o.to, "dir:")
	if !ok || path == "" {
		return cli.Usagef("--to %q: it is dir:PATH", o.to)
	}
	if err := bundles.CheckTag(o.tag); err != nil {
		return &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	key, err := signingKey(s, o.signKey)
	if err != nil {
		return err
	}
	if err := withHoles(s, keepsPromise(o.matrixFile, o.tag, o.dist), o.partial,
		"llcuda-build coverage --from "+o.dist+" shows the grid; --partial publishes it to a folder all the same"); err != nil {
		return fmt.Errorf("publishing release %s: %w", o.tag, err)
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

// refuseGitHub says why nothing goes to GitHub: first what never may, then that
// this version cannot.
func refuseGitHub(o publishOptions) error {
	fragments, err := bundles.ReadFragments(o.dist)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range fragments {
		why := ""
		switch b := f.Bundle; {
		case b.Source.Fixture:
			why = "it is made from the test fixture"
		case b.Image.StandIn:
			why = "it was built in " + b.Image.Ref + ", which only stands in for the matrix's image"
		case b.Image.Ref == matrix.BuilderHost:
			why = "it was built with a host's own tools, whose glibc nobody promises"
		default:
			continue
		}
		errs = append(errs, &cli.Error{Code: cli.ExitFailed, Err: fmt.Errorf("bundle %s is not for GitHub: %s", f.Bundle.ID, why),
			Cure: "build it from llama.cpp in the image that the matrix names, or publish --to dir:PATH"})
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return &cli.Error{Code: cli.ExitUsage, Err: errors.New("publishing to GitHub is not in this version"),
		Cure: "publish --to dir:PATH and serve that folder over HTTPS"}
}

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/release"
)

type publishOptions struct {
	matrixFile string
	tag, dist  string
	to         string
	signKey    string
	repository string
	dryRun     bool
	partial    bool
	// extra are files that go along, each [NAME=]FILE.
	extra []string
	hub   hubOptions
}

func newPublish(s *cli.Streams, matrixFile *string) *cobra.Command {
	var o publishOptions
	c := &cobra.Command{
		Use:   "publish TAG [DIST]",
		Short: "sign what build left in DIST and publish it as release TAG",
		Long: `Joins the bundles of DIST into one manifest, signs it, and puts manifest,
signature, SHA256SUMS and parts where --to says. Everything is hashed again
first. Safe to repeat: the same release again changes nothing, another one under
a tag that exists is refused. A part that an earlier release holds is referred to,
not stored again.

To GitHub everything that bars the release is named first, all at once: the
token and its rights (GITHUB_TOKEN or GH_TOKEN), the tag and its commit, GitHub's
limits, the parts, the promise, bundles that are not for everybody, a model of the
registry that nobody can download (--models off does not ask). Then a draft
gets every file, GitHub's digest of each is compared, and one request makes it
public. Killed at any moment and run again, it goes on; --dry-run prints the plan.
--preflight, without DIST, asks all that can be asked before anything is built.

A release that does not serve what the matrix promises is refused, each hole
named (llcuda-build coverage --from DIST shows the grid). --partial lets it
through to a folder, for a mirror of a few cells or a test.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.matrixFile, o.tag = *matrixFile, args[0]
			if (len(args) == 1) != o.hub.preflight {
				return cli.Usagef("it is publish TAG DIST, or publish TAG --preflight")
			}
			if len(args) == 2 {
				o.dist = args[1]
			}
			return runPublish(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "the target, `dir:PATH | github:OWNER/REPO`")
	f.StringVar(&o.signKey, "sign-key", "", "the minisign secret key `FILE` (env LLCUDA_SIGN_KEY)")
	f.StringVar(&o.repository, "repository", "", "`NAME` that the signature binds, as github:OWNER/REPO")
	f.BoolVar(&o.dryRun, "dry-run", false, "check everything and print what would be done")
	f.StringArrayVar(&o.extra, "extra", nil, "put this file in the release too, as `[NAME=]FILE`; SHA256SUMS covers it")
	o.hub.flags(f)
	f.BoolVar(&o.partial, "partial", false, "publish to a folder though the matrix's promise has holes")
	return c
}

func runPublish(ctx context.Context, s *cli.Streams, o publishOptions) error {
	if err := bundles.CheckTag(o.tag); err != nil {
		return &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	extra, err := extraFiles(o.extra)
	if err != nil {
		return err
	}
	in := release.PublishInput{Tag: o.tag, DistDir: o.dist, Extra: extra, Repository: o.repository,
		Tool: "llcuda-build " + version, DryRun: o.dryRun, Log: s.Err}
	if name, ok := strings.CutPrefix(o.to, "github:"); ok {
		return publishGitHub(ctx, s, o, in, name)
	}
	if o.hub.given() {
		return cli.Usagef("--target, --make-latest, --notes and --preflight are for --to github:OWNER/REPO")
	}
	path, ok := strings.CutPrefix(o.to, "dir:")
	if !ok || path == "" {
		return cli.Usagef("--to %q: it is dir:PATH or github:OWNER/REPO", o.to)
	}
	if in.Key, err = signingKey(ctx, s, o.signKey); err != nil {
		return err
	}
	if err := withHoles(s, keepsPromise(o.matrixFile, o.tag, o.dist), o.partial,
		"llcuda-build coverage --from "+o.dist+" shows the grid; --partial publishes it to a folder all the same"); err != nil {
		return fmt.Errorf("publishing release %s: %w", o.tag, err)
	}
	in.Path = path
	p, err := release.PublishDir(ctx, in)
	if err != nil {
		return err
	}
	printPublished(s, p)
	return nil
}

func printPublished(s *cli.Streams, p release.Published) {
	fmt.Fprintf(s.Out, "%s\tsequence %d\t%d parts\t%s\t%s\n", p.Release, p.Sequence, p.Parts, cli.Size(p.Bytes), p.Dir)
}

// extraFiles reads [NAME=]FILE.
func extraFiles(given []string) (map[string]string, error) {
	files := map[string]string{}
	for _, g := range given {
		name, path, ok := strings.Cut(g, "=")
		if !ok {
			name, path = filepath.Base(g), g
		}
		if name == "" || path == "" {
			return nil, cli.Usagef("--extra %q: it is [NAME=]FILE", g)
		}
		if _, twice := files[name]; twice {
			return nil, cli.Usagef("--extra: two files would be called %s", name)
		}
		files[name] = path
	}
	return files, nil
}

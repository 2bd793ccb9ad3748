package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/models"
	"github.com/waqasm86/llcuda/internal/release"
	"github.com/waqasm86/llcuda/matrix"
)

// hubOptions are publish's options for GitHub.
type hubOptions struct {
	target, latest string
	api            string
	notes          string
	preflight      bool
	// models is the registry whose every entry must be there for users; "off" asks nothing.
	models string
}

func (o *hubOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.target, "target", "", "the full id of the `COMMIT` that the release is of; needed where the tag is not pushed")
	f.StringVar(&o.latest, "make-latest", "", "whether it becomes GitHub's latest, `auto|yes|no`; auto: unless it is a pre-release or an older line")
	f.StringVar(&o.notes, "notes", "", "text of a release's page, from `FILE`")
	f.BoolVar(&o.preflight, "preflight", false, "ask what may bar the release, before anything is built")
	f.StringVar(&o.models, "models", "", "the registry of models in `FILE`, each of which the hub must have; off: do not ask (env LLCUDA_MODELS)")
	// GitHub Enterprise Server: https://HOST/api/v3. Actions set it for their own server.
	f.StringVar(&o.api, "github-api", "", "address of GitHub's API where it is another `URL` (env GITHUB_API_URL)")
	_ = f.MarkHidden("github-api")
}

func (o *hubOptions) given() bool { return o.target+o.latest+o.notes != "" || o.preflight }

func publishGitHub(ctx context.Context, s *cli.Streams, o publishOptions, in release.PublishInput, name string) error {
	if o.partial {
		// Everybody's default source: what it lacks, its users lack.
		return cli.Usagef("--partial is for dir: targets; a release on GitHub keeps the whole promise")
	}
	switch o.hub.latest {
	case "", release.LatestAuto, release.LatestYes, release.LatestNo:
	default:
		return cli.Usagef("--make-latest %q: it is auto, yes or no", o.hub.latest)
	}
	if !release.IsRepository(name) {
		return cli.Usagef("--to %q: it is github:OWNER/REPO", o.to)
	}
	to := release.GitHubTarget{Name: name, Commit: o.hub.target, Latest: o.hub.latest,
		Options: release.Options{Token: gitHubToken(s), UserAgent: "llcuda-build/" + version, GitHubBaseURL: gitHubAPI(s, o.hub.api)}}
	if o.hub.notes != "" {
		text, err := os.ReadFile(o.hub.notes)
		if err != nil {
			return fmt.Errorf("reading the notes: %w", err)
		}
		to.Notes = string(text)
	}
	// Whatever bars the release is said at once, with what GitHub has against it.
	if in.Key, in.KeyMiss = signingKey(ctx, s, o.signKey); ctx.Err() != nil {
		return in.KeyMiss
	}
	in.Checks = []func(context.Context) error{
		func(context.Context) error { return forEverybody(o.dist) },
		func(context.Context) error {
			if o.hub.preflight {
				return willKeepPromise(o.matrixFile)
			}
			return withHoles(s, keepsPromise(o.matrixFile, o.tag, o.dist), false, "llcuda-build coverage --from "+o.dist+" shows the grid")
		},
	}
	if registry := cmp.Or(o.hub.models, s.Env("LLCUDA_MODELS"), models.RegistryName); registry != "off" {
		in.Checks = append(in.Checks, modelsAreThere(s, registry))
	}
	progress := cli.NewProgress(s.Err, false)
	in.Log = lines{progress}
	in.Progress = func(item, step string, done, total int64) {
		if step == "" {
			progress.Finish(item, "")
			return
		}
		progress.Set(item, step, done, total, cli.Bytes)
	}
	if o.hub.preflight {
		if err := release.PreflightGitHub(ctx, in, to); err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "nothing bars release %s of github:%s so far\n", o.tag, name)
		return nil
	}
	p, err := release.PublishGitHub(ctx, in, to)
	if err != nil {
		return err
	}
	if o.dryRun && p.Plan != nil {
		return p.Plan.WriteText(s.Out)
	}
	printPublished(s, p)
	return nil
}

// willKeepPromise is what can be said before anything is built: of the plan.
func willKeepPromise(matrixFile string) error {
	m, err := loadMatrix(matrixFile)
	if err != nil {
		return err
	}
	return planKeepsPromise(m, matrixFile)
}

// lines writes a log above the line of progress.
type lines struct{ p *cli.Progress }

func (l lines) Write(b []byte) (int, error) {
	l.p.Printf("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// gitHubToken is the token as workflows and GitHub's own client name it.
func gitHubToken(s *cli.Streams) string {
	if t := s.Env("GITHUB_TOKEN"); t != "" {
		return t
	}
	return s.Env("GH_TOKEN")
}

// gitHubAPI is the address of GitHub's API, empty for github.com's.
func gitHubAPI(s *cli.Streams, flag string) string {
	if flag != "" {
		return flag
	}
	return s.Env("GITHUB_API_URL")
}

// forEverybody refuses bundles that do not go to GitHub.
func forEverybody(dist string) error {
	if dist == "" {
		return nil // nothing is built yet
	}
	fragments, err := bundles.ReadFragments(dist)
	if err != nil {
		return nil // the release says it itself
	}
	var errs []error
	for _, f := range fragments {
		why := ""
		switch b := f.Bundle; {
		case b.Draft:
			why = "it is a draft, built in a folder kept from an earlier build"
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
	return errors.Join(errs...)
}

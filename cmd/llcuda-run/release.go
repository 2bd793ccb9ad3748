//go:build linux && amd64

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/release"
	"github.com/waqasm86/llcuda/internal/store"
)

// releaseOptions say where releases come from and whom to trust for them.
type releaseOptions struct {
	from    string
	keys    []string
	offline bool
	// readHost reads the machine that bundles are judged for.
	readHost hostReader
}

func (o *releaseOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.from, "from", "", "release source: `github:OWNER/REPO[@TAG] | DIR | https://…` (env LLCUDA_FROM)")
	f.StringArrayVar(&o.keys, "key", nil, "trust this minisign public `KEY` or .pub file too (env LLCUDA_KEY)")
	f.BoolVar(&o.offline, "offline", false, "use the last manifest that was verified here; fetch nothing")
}

// fill takes from the environment what no flag gave.
func (o *releaseOptions) fill(s *cli.Streams) {
	if o.from == "" {
		o.from = s.Env("LLCUDA_FROM")
	}
	if v := s.Env("LLCUDA_KEY"); v != "" && len(o.keys) == 0 {
		o.keys = bundles.KeysIn(v)
	}
}

// opened is a release whose signature was checked.
type opened struct {
	source   release.Source
	manifest *bundles.Manifest
	// remembered marks the last verified manifest, used because the source was not asked.
	remembered bool
}

// openRelease fetches a manifest, checks its signature, claim and sequence, and
// remembers it for --offline.
func openRelease(ctx context.Context, s *cli.Streams, st *store.Store, o releaseOptions) (opened, error) {
	if o.from == "" {
		return opened{}, &cli.Error{Err: errors.New("no release source is known"), Code: cli.ExitUsage,
			Cure: "name one with --from github:OWNER/REPO, --from DIR or --from https://…, or set LLCUDA_FROM"}
	}
	src, err := release.Parse(o.from, release.Options{
		Token: s.Env("GITHUB_TOKEN"), UserAgent: "llcuda-run/" + version,
	})
	if err != nil {
		return opened{}, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	keys, err := bundles.TrustedKeys(o.keys)
	if err != nil {
		return opened{}, err
	}
	name := src.String()
	want := bundles.Want{Repository: src.Repository(), File: bundles.ManifestName, MinSequence: st.Sequence(name)}
	if o.offline {
		raw, sig, err := st.LastManifest(name)
		if err != nil {
			return opened{}, &cli.Error{Err: fmt.Errorf("no manifest of %s was verified here before: %w", name, err),
				Code: cli.ExitDownload, Cure: "run it once without --offline"}
		}
		m, err := bundles.Open(raw, sig, keys, want)
		return opened{src, m, true}, unfit(name, err)
	}
	raw, sig, tag, err := src.Manifest(ctx, "")
	if err != nil {
		return opened{}, &cli.Error{Err: fmt.Errorf("asking %s for its manifest: %w", name, err), Code: cli.ExitDownload,
			Cure: cmp.Or(cure(err), "check the network and the release source (--from); --offline uses what was verified here before")}
	}
	want.Release = tag
	m, err := bundles.Open(raw, sig, keys, want)
	if err != nil {
		return opened{}, unfit(name, err)
	}
	if err := st.SaveManifest(name, raw, sig, m.Sequence); err != nil && !errors.Is(err, os.ErrPermission) {
		return opened{}, err
	}
	return opened{src, m, false}, nil
}

// unfit gives the faults inside a signed manifest, which have no type of their
// own, the exit code of a failed verification.
func unfit(source string, err error) error {
	var coded interface{ ExitCode() int }
	if err == nil || errors.As(err, &coded) {
		return err
	}
	return &cli.Error{Err: fmt.Errorf("the manifest of %s is signed and cannot be used: %w", source, err), Code: cli.ExitDownload,
		Cure: "the release itself is wrong, not the download: tell its owner, or use another release (--from SOURCE@TAG)"}
}

// cure is the hint of an error, "" without one.
func cure(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

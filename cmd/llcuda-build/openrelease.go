package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/release"
)

// openRelease fetches a manifest and checks signature and claim, as llcuda-run
// does. No sequence is remembered here.
func openRelease(ctx context.Context, s *cli.Streams, from string, given []string) (string, *bundles.Manifest, error) {
	r, err := openSigned(ctx, s, from, given)
	if err != nil {
		return "", nil, err
	}
	return r.source.String(), r.manifest, nil
}

// signedRelease is a release whose signature was checked, and where it lies.
type signedRelease struct {
	source   release.Source
	manifest *bundles.Manifest
	// near: its files can be read again and again at no cost.
	near bool
}

// openSigned is openRelease with the source, to open parts with.
func openSigned(ctx context.Context, s *cli.Streams, spec string, given []string) (signedRelease, error) {
	spec = strings.TrimPrefix(spec, "dir:")
	src, err := release.Parse(spec, release.Options{Token: gitHubToken(s), UserAgent: "llcuda-build/" + version, GitHubBaseURL: gitHubAPI(s, "")})
	if err != nil {
		return signedRelease{}, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	keys, err := bundles.TrustedKeys(given)
	if err != nil {
		return signedRelease{}, err
	}
	raw, sig, tag, err := src.Manifest(ctx, "")
	if err != nil {
		return signedRelease{}, &cli.Error{Err: fmt.Errorf("asking %s for its manifest: %w", src, err), Code: cli.ExitDownload}
	}
	m, err := bundles.Open(raw, sig, keys, bundles.Want{Repository: src.Repository(), Release: tag, File: bundles.ManifestName})
	var coded interface{ ExitCode() int }
	if err != nil && !errors.As(err, &coded) {
		err = &cli.Error{Err: fmt.Errorf("the manifest of %s is signed and cannot be used: %w", src, err), Code: cli.ExitDownload}
	}
	near := !strings.HasPrefix(spec, "github:") && !strings.Contains(spec, "://")
	return signedRelease{src, m, near}, err
}

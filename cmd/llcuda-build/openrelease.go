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
	src, err := release.Parse(from, release.Options{Token: s.Env("GITHUB_TOKEN"), UserAgent: "llcuda-build/" + version})
	if err != nil {
		return "", nil, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	keys, err := bundles.PinnedKeys()
	if err != nil {
		return "", nil, err
	}
	for _, text := range given {
		key, err := bundles.PublicKeyOf(text)
		if err != nil {
			return "", nil, &cli.Error{Err: fmt.Errorf("--key: %w", err), Code: cli.ExitUsage,
				Cure: "give the line of a minisign public key, or the name of its .pub file"}
		}
		keys = append(keys, key)
	}
	name := src.String()
	raw, sig, tag, err := src.Manifest(ctx, "")
	if err != nil {
		return "", nil, &cli.Error{Err: fmt.Errorf("asking %s for its manifest: %w", name, err), Code: cli.ExitDownload}
	}
	m, err := bundles.Open(raw, sig, keys, bundles.Want{Repository: src.Repository(), Release: tag, File: bundles.ManifestName})
	var coded interface{ ExitCode() int }
	if err != nil && !errors.As(err, &coded) {
		err = &cli.Error{Err: fmt.Errorf("the manifest of %s is signed and cannot be used: %w", name, err), Code: cli.ExitDownload}
	}
	return name, m, err
}

// keysIn reads LLCUDA_KEY: one key, which may be a .pub file's whole text, or
// several between blanks.
func keysIn(v string) []string {
	if _, err := bundles.PublicKeyOf(v); err == nil && v != "" {
		return []string{v}
	}
	return strings.Fields(v)
}

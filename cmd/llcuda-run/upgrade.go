//go:build linux && amd64

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/store"
)

// upgrade is what a pull changes.
type upgrade struct {
	// From is the release that was used before, "" where none was.
	From    string `json:"from,omitempty"`
	Release string `json:"release"`
	Bundle  string `json:"bundle"`
	// Fetch is how many bytes are not here yet.
	Fetch int64 `json:"fetch"`
	// Changes are sentences for people.
	Changes []string `json:"changes"`
}

// upgradeOf compares what was picked with the release that was installed last
// from the same source, whatever its signer: it is only spoken of.
func upgradeOf(s *cli.Streams, st *store.Store, p picked, given []string) upgrade {
	up := upgrade{Release: p.release.manifest.Release, Bundle: p.bundle.ID, Changes: []string{}}
	have := installedParts(st)
	for _, digest := range []string{p.bundle.App, p.choice.Runtime} {
		if part, ok := p.release.manifest.Parts[digest]; ok && !have[digest] {
			up.Fetch += part.Size
		}
	}
	keys, err := bundles.TrustedKeys(given)
	if err != nil {
		return up
	}
	old, err := reading{s, st, p.release.source, keys}.used()
	if err != nil {
		return up
	}
	up.From = old.manifest.Release
	if up.From != up.Release {
		up.Changes = changes(old.manifest, p.release.manifest, p.bundle)
	}
	return up
}

// changes says how b differs from the bundle of its name in an older release,
// and which bundles came and went.
func changes(old, now *bundles.Manifest, b bundles.Bundle) []string {
	var said []string
	ids := func(m *bundles.Manifest) (all []string) {
		for _, b := range m.Bundles {
			all = append(all, b.ID)
		}
		return all
	}
	before, after := ids(old), ids(now)
	if i := slices.Index(before, b.ID); i >= 0 {
		was := old.Bundles[i]
		switch {
		case was.Source.Commit != b.Source.Commit && was.Source.Commit != "" && b.Source.Commit != "":
			said = append(said, fmt.Sprintf("llama.cpp %.9s → %.9s", was.Source.Commit, b.Source.Commit))
		case was.App == b.App:
			said = append(said, "the same llama.cpp, byte for byte")
		}
		if was.Toolkit != b.Toolkit {
			said = append(said, fmt.Sprintf("CUDA %s → %s", was.Toolkit, b.Toolkit))
		}
	}
	list := func(what string, of, not []string) {
		var only []string
		for _, id := range of {
			if !slices.Contains(not, id) {
				only = append(only, id)
			}
		}
		if len(only) > 0 {
			said = append(said, what+" "+strings.Join(only, ", "))
		}
	}
	list("new bundles:", after, before)
	list("no longer:", before, after)
	if said == nil {
		said = []string{}
	}
	return said
}

// sentence says it on one line.
func (u upgrade) sentence() string {
	fetch := "nothing to fetch"
	if u.Fetch > 0 {
		fetch = cli.Size(u.Fetch) + " to fetch"
	}
	text := fmt.Sprintf("release %s, bundle %s: %s", u.Release, u.Bundle, fetch)
	switch {
	case u.From == u.Release:
		return text + "; it is the release in use"
	case u.From != "":
		text += "; it replaces release " + u.From
	}
	if len(u.Changes) > 0 {
		text += " (" + strings.Join(u.Changes, "; ") + ")"
	}
	return text
}

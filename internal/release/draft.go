package release

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/waqasm86/llcuda/bundles"
)

// What follows decides and asks nobody.

// marker in the text of a draft says that it is ours and for which tag: only such
// a draft is gone on with, or removed. People's own drafts are left alone.
func marker(tag string) string { return "<!-- llcuda-build publish " + tag + " -->" }

// draftsOf are our drafts of a tag, oldest first. A killed run leaves one; one
// that GitHub did not list in time may have a twin.
func draftsOf(all []hubRelease, tag string) []hubRelease {
	var ours []hubRelease
	for _, r := range all {
		if r.Draft && r.Tag == tag && strings.Contains(r.Body, marker(tag)) {
			ours = append(ours, r)
		}
	}
	slices.SortFunc(ours, func(a, b hubRelease) int { return cmp.Compare(a.ID, b.ID) })
	return ours
}

// pickDraft is the draft that has most of the wanted bytes, and the others.
func pickDraft(drafts []hubRelease, want []file) (keep *hubRelease, drop []hubRelease) {
	best := int64(-1)
	for i := range drafts {
		var have int64
		for _, f := range compare(want, drafts[i].Assets).kept {
			have += f.size
		}
		if have > best {
			best, keep = have, &drafts[i]
		}
	}
	for _, d := range drafts {
		if d.ID != keep.ID { // there is one, or no draft at all
			drop = append(drop, d)
		}
	}
	return keep, drop
}

// difference between the files a release is to have and its assets.
type assetDiff struct {
	kept, missing []file
	// stray are assets that no wanted file fits: other content, broken uploads,
	// names of nobody's.
	stray []Asset
	// unsure are assets of kept files whose digest GitHub does not say.
	unsure []Asset
}

func compare(want []file, have []Asset) assetDiff {
	var d assetDiff
	byName := map[string]file{}
	for _, f := range want {
		byName[f.name] = f
	}
	done := map[string]bool{}
	for _, a := range have {
		f, ok := byName[a.Name]
		if !ok || done[a.Name] || !fits(a, f) {
			d.stray = append(d.stray, a)
			continue
		}
		done[a.Name] = true
		d.kept = append(d.kept, f)
		if a.Digest == nil {
			d.unsure = append(d.unsure, a)
		}
	}
	for _, f := range want {
		if !done[f.name] {
			d.missing = append(d.missing, f)
		}
	}
	return d
}

// publicOf are the releases that are public, newest first.
func publicOf(all []hubRelease) []hubRelease {
	var out []hubRelease
	for _, r := range all {
		if !r.Draft {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b hubRelease) int {
		switch {
		case a.Published == nil || b.Published == nil:
			return cmp.Compare(b.ID, a.ID)
		default:
			return b.Published.Compare(*a.Published)
		}
	})
	return out
}

// hubHolds are the parts that public releases hold, by GitHub's own digests: the
// signed manifest binds them again. Of several the oldest is named.
func hubHolds(public []hubRelease) map[string]holding {
	held := map[string]holding{}
	for _, r := range public { // newest first: the oldest stays
		if _, ok := uploaded(r.Assets, bundles.ManifestName); !ok || bundles.CheckTag(r.Tag) != nil {
			continue // not a release of bundles
		}
		for _, a := range r.Assets {
			if a.State == "uploaded" && a.Digest != nil && bundles.CheckPartName(a.Name) == nil {
				held[*a.Digest] = holding{r.Tag, a.Name}
			}
		}
	}
	return held
}

// standing says whether a release is to be GitHub's "latest", which is what a
// user gets who names no tag, and whether it is a pre-release; why tells a person.
//
// By itself a pre-release by its version (v1.2.0-rc.1) is not, nor is one whose
// version is lower than that of a public release (a mended older line).
func standing(tag, mode string, public []hubRelease) (latest, prerelease bool, why string) {
	v, ok := version(tag)
	switch {
	case mode == LatestYes:
		return true, false, "--make-latest yes"
	case ok && semver.Prerelease(v) != "":
		return false, true, "its version is a pre-release"
	case mode == LatestNo:
		return false, false, "--make-latest no"
	case !ok: // a tag that is no version
		return true, false, "it is the newest"
	}
	for _, r := range public {
		if o, ok := version(r.Tag); ok && !r.Prerelease && r.Tag != tag && semver.Compare(o, v) > 0 {
			return false, false, "release " + r.Tag + " has a higher version"
		}
	}
	return true, false, "no release has a higher version"
}

// version is the tag as a semantic version of three numbers, with or without its v.
func version(tag string) (string, bool) {
	v := "v" + strings.TrimPrefix(tag, "v")
	return v, semver.Canonical(v) == v // v1.2 is valid to the library, and not its own canonical form
}

// body is the text of a release's page.
func body(m *bundles.Manifest, notes, repository, key string) string {
	var b strings.Builder
	if notes != "" {
		b.WriteString(strings.TrimSpace(notes) + "\n\n")
	}
	b.WriteString("| bundle | toolkit | packed | CUDA runtime |\n|---|---|---|---|\n")
	shared := false
	for _, bundle := range m.Bundles {
		toolkit := bundle.Toolkit
		if toolkit == "" {
			toolkit = "none"
		} else {
			toolkit = "CUDA " + toolkit
		}
		var forms []string
		for _, r := range bundle.Runtime {
			if r == bundles.RuntimeHost {
				forms = append(forms, "the host's")
				continue
			}
			p := m.Parts[r]
			text := fmt.Sprintf("%s, %d bytes", p.Form, p.Size)
			if p.Release != nil {
				text += " (in " + *p.Release + ")"
			}
			forms, shared = append(forms, text), true
		}
		fmt.Fprintf(&b, "| `%s` | %s | %d bytes | %s |\n", bundle.ID, toolkit, m.Parts[bundle.App].Size, cmp.Or(strings.Join(forms, "; else "), "none"))
	}
	if shared {
		b.WriteString("\nA runtime is downloaded where the host has no CUDA libraries that fit, and once for all bundles of a toolkit.\n")
	}
	fmt.Fprintf(&b, "\nThe manifest (sequence %d) is signed by `%s`:\n\n    llcuda-run serve MODEL --from %s@%s --key %s\n\n%s\n",
		m.Sequence, key, repository, m.Release, key, marker(m.Release))
	return b.String()
}

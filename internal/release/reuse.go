package release

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"slices"

	"github.com/waqasm86/llcuda/bundles"
)

// holding says where an earlier release holds the file of a part.
type holding struct{ release, name string }

// referring is what is left to publish of fragments: parts that an earlier
// release holds name it and need no file of their own. A part whose file has
// another name there is published again: readers ask by the name in the manifest.
func referring(frags []bundles.Fragment, held map[string]holding) []bundles.Fragment {
	out := slices.Clone(frags)
	for i, f := range out {
		out[i].Parts = maps.Clone(f.Parts)
		for key, p := range f.Parts {
			if h, ok := held[key]; ok && p.Release == nil && h.name == p.Name {
				p.Release = &h.release
				out[i].Parts[key] = p
			}
		}
	}
	return out
}

// heldAsIn are the references of a manifest: the same release composed again
// has the same ones, whatever was published since.
func heldAsIn(m *bundles.Manifest) map[string]holding {
	held := map[string]holding{}
	for key, p := range m.Parts {
		if p.Release != nil {
			held[key] = holding{*p.Release, p.Name}
		}
	}
	return held
}

// holds are the parts of a new release that the folder's releases hold
// themselves, and still whole. Of several the oldest is named: what many releases
// need is removed last.
func (s *shelf) holds(ctx context.Context, draft *bundles.Manifest, have map[string]bundles.Manifest) map[string]holding {
	held := map[string]holding{}
	oldestFirst := slices.SortedFunc(maps.Values(have), func(a, b bundles.Manifest) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for _, want := range ownParts(draft) {
		for _, m := range oldestFirst {
			p, ok := m.Parts[want.key]
			if !ok || p.Release != nil || p.Name != want.Name {
				continue
			}
			if checkPart(ctx, filepath.Join(s.dir, m.Release, p.Name), want.key, want.Part) == nil {
				held[want.key] = holding{m.Release, p.Name}
				break
			}
		}
	}
	return held
}

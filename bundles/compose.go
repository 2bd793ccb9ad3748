package bundles

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Compose joins fragments into the manifest of one release. A part that
// several bundles share is listed once; where two fragments disagree about a
// part, two parts share a name or two bundles an id, the error names all of it.
func Compose(tag string, seq int64, tool string, frags []Fragment) (*Manifest, error) {
	m := &Manifest{Schema: facts.Schema, Release: tag, Sequence: seq, Tool: tool, Parts: map[string]Part{}}
	var faults []error
	from := map[string]string{}
	for _, f := range frags {
		if err := f.Validate(); err != nil {
			faults = append(faults, fmt.Errorf("fragment of bundle %q: %w", f.Bundle.ID, err))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(f.Parts)) {
			p := f.Parts[key]
			have, ok := m.Parts[key]
			if !ok {
				m.Parts[key], from[key] = p, f.Bundle.ID
				continue
			}
			a, errA := canonicalJSON(have)
			b, errB := canonicalJSON(p)
			if err := errors.Join(errA, errB); err != nil {
				return nil, err
			}
			if !bytes.Equal(a, b) {
				faults = append(faults, fmt.Errorf("bundles %q and %q say different things of part %s (%s)", from[key], f.Bundle.ID, key, p.Name))
			}
		}
		m.Bundles = append(m.Bundles, f.Bundle)
	}
	slices.SortStableFunc(m.Bundles, func(a, b Bundle) int { return strings.Compare(a.ID, b.ID) })
	if len(faults) == 0 {
		faults = append(faults, m.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("composing release %q: %w", tag, err)
	}
	return m, nil
}

package release

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/waqasm86/llcuda/bundles"
)

// same tells whether the tag is public already: nil where it is not, an
// *ExistsError where it holds something else.
func (p *publication) same(ctx context.Context) (*Published, error) {
	var old *hubRelease
	for _, r := range publicOf(p.releases) {
		if r.Tag == p.in.Tag {
			old = &r
			break
		}
	}
	if old == nil {
		return nil, nil
	}
	differs := func(format string, args ...any) error {
		return &ExistsError{Tag: p.in.Tag, Dir: "github:" + p.to.Name, Why: fmt.Sprintf(format, args...)}
	}
	have, err := p.h.assets(ctx, old.ID)
	if err != nil {
		return nil, err
	}
	a, ok := uploaded(have, bundles.ManifestName)
	if !ok {
		return nil, differs("it has no %s: it was not published by this program", bundles.ManifestName)
	}
	raw, err := p.h.read(ctx, a)
	if err != nil {
		return nil, err
	}
	was := new(bundles.Manifest)
	if err := json.Unmarshal(raw, was); err != nil {
		return nil, differs("its manifest: %v", err)
	}
	// The program that publishes may be another version by now.
	m, err := bundles.Compose(p.in.Tag, was.Sequence, was.Tool, referring(p.dist.frags, heldAsIn(was)))
	if err != nil {
		return nil, err
	}
	last, err := papers(p.in, m, p.dist.extra)
	if err != nil {
		return nil, err
	}
	if got := inMemory(bundles.ManifestName, raw); got.digest != last[0].digest {
		return nil, differs("%s", difference(was, m))
	}
	want := append(append(partFiles(p.in.DistDir, m), p.dist.extra...), last...)
	d := compare(want, have)
	for _, f := range d.missing {
		switch _, there := uploaded(have, f.name); {
		case !there:
			return nil, differs("it lacks %s", f.name)
		case f.name == bundles.SignatureName:
			return nil, differs("it is signed by another key or for another repository")
		default:
			return nil, differs("its file %s is another", f.name)
		}
	}
	for _, a := range d.unsure {
		got, err := p.h.readBack(ctx, a)
		if err != nil {
			return nil, err
		}
		if a.Digest = &got; !fits(a, named(want, []Asset{a})[0]) {
			return nil, differs("its file %s is another", a.Name)
		}
	}
	fmt.Fprintf(p.in.Log, "release %s is public already, with the same content\n", p.in.Tag)
	done := result(p.in, m, true)
	done.Dir = old.Page
	return &done, nil
}

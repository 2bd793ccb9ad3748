package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/waqasm86/llcuda/bundles"
)

// Published says what there is now.
type Published struct {
	Release  string
	Sequence int64
	// Dir is the release's folder, or its page on GitHub.
	Dir string
	// Parts is the number of parts, Bytes their packed size together.
	Parts int
	Bytes int64
	// Already says that the very same release had been published before.
	Already bool
	// Plan is what would be, or was, done on GitHub; nil for a folder.
	Plan *Plan
}

// PublishDir makes a release in a folder out of a dist/ folder.
//
// Every part is read whole before anything is written: size, hash, and the
// digest of its contents, by the same rules that a runner will unpack it with.
// The sequence is one more than the highest in the folder. A part that an
// earlier release of the folder holds stays there and is referred to. The others
// are copied (never linked: dist/ may be rewritten) into a staging folder, flushed
// and renamed to <path>/<tag>; then "latest" is replaced, if it named an older one.
//
// It may be killed at any moment and run again: a reader sees the release
// whole or not at all, and what a killed run left is removed by the next. Two
// at once wait for each other. The same content under the same tag again
// changes nothing and is a success; other content is an *ExistsError. A full
// disk is a *SpaceError before anything is written.
func PublishDir(ctx context.Context, in PublishInput) (Published, error) {
	p, err := publishDir(ctx, in)
	if err != nil {
		return Published{}, fmt.Errorf("publishing release %s: %w", in.Tag, err)
	}
	return p, nil
}

func publishDir(ctx context.Context, in PublishInput) (Published, error) {
	if in.Log == nil {
		in.Log = io.Discard
	}
	if err := bundles.CheckTag(in.Tag); err != nil {
		return Published{}, err
	}
	if in.Key.IsZero() {
		return Published{}, errors.New("no key to sign with")
	}
	dist, err := readDist(ctx, in)
	for _, check := range in.Checks {
		err = errors.Join(err, check(ctx))
	}
	if err != nil {
		return Published{}, err
	}
	if in.DryRun {
		if _, err := os.Stat(in.Path); errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(in.Log, "dry run: would make %s with release %s\n", in.Path, in.Tag)
			return result(in, dist.draft, false), nil
		}
	} else if err := os.MkdirAll(in.Path, 0o755); err != nil {
		return Published{}, err
	}
	s, err := lockShelf(ctx, in.Path, in.Log)
	if err != nil {
		return Published{}, err
	}
	defer s.unlock()
	return publishLocked(ctx, in, s, dist)
}

func publishLocked(ctx context.Context, in PublishInput, s *shelf, dist *dist) (Published, error) {
	if !in.DryRun {
		if err := s.sweep(); err != nil {
			return Published{}, err
		}
	}
	have, err := s.releases()
	if err != nil {
		return Published{}, err
	}
	if old, ok := have[in.Tag]; ok {
		return publishAgain(ctx, in, s, dist, old)
	}
	if _, err := os.Lstat(filepath.Join(in.Path, in.Tag)); err == nil {
		return Published{}, &ExistsError{Tag: in.Tag, Dir: in.Path, Why: "something of that name without a manifest lies there"}
	}
	var highest int64
	for _, r := range have {
		highest = max(highest, r.Sequence)
	}
	// Parts that a fragment itself places in an earlier release must be there.
	if err := checkEarlier(ctx, in.Path, dist.draft); err != nil {
		return Published{}, err
	}
	m, err := bundles.Compose(in.Tag, highest+1, in.Tool, referring(dist.frags, s.holds(ctx, dist.draft, have)))
	if err != nil {
		return Published{}, err
	}
	var need int64
	for _, p := range ownParts(m) {
		need += p.Size
	}
	for _, f := range dist.extra {
		need += f.size
	}
	if err := CheckSpace(in.Path, need+4<<20); err != nil {
		return Published{}, err
	}
	if in.DryRun {
		fmt.Fprintf(in.Log, "dry run: would publish %s with sequence %d\n", in.Tag, m.Sequence)
		return result(in, m, false), nil
	}
	if err := stage(ctx, in, s, m, dist.extra); err != nil {
		return Published{}, err
	}
	return result(in, m, false), s.setLatest(m.Release, m.Sequence, have, in.Log)
}

// publishAgain compares with what is there under the tag, and finishes what a
// killed run may have left: "latest".
func publishAgain(ctx context.Context, in PublishInput, s *shelf, dist *dist, old bundles.Manifest) (Published, error) {
	dir := filepath.Join(in.Path, in.Tag)
	differs := func(format string, args ...any) error {
		return &ExistsError{Tag: in.Tag, Dir: in.Path, Why: fmt.Sprintf(format, args...)}
	}
	// The program that publishes may be another version by now.
	m, err := bundles.Compose(in.Tag, old.Sequence, old.Tool, referring(dist.frags, heldAsIn(&old)))
	if err != nil {
		return Published{}, err
	}
	want, err := papers(in, m, dist.extra)
	if err != nil {
		return Published{}, err
	}
	raw, sig, _, err := (&layout{files: folder{in.Path}}).Manifest(ctx, in.Tag)
	if err != nil {
		return Published{}, err
	}
	if !bytes.Equal(raw, want[0].data) {
		return Published{}, differs("%s", difference(&old, m))
	}
	if _, err := bundles.Open(raw, sig, []bundles.PublicKey{in.Key.Public()}, bundles.Want{Release: in.Tag}); err != nil {
		return Published{}, differs("%v", err)
	}
	if !bytes.Equal(want[1].data, sig) {
		return Published{}, differs("it is signed for another repository")
	}
	for _, p := range ownParts(m) {
		if err := checkPart(ctx, filepath.Join(dir, p.Name), p.key, p.Part); err != nil {
			return Published{}, differs("it is damaged: %v", err)
		}
	}
	if err := checkEarlier(ctx, in.Path, m); err != nil {
		return Published{}, differs("it is damaged: %v", err)
	}
	for _, f := range dist.extra {
		if got, err := describe(f.name, filepath.Join(dir, f.name)); err != nil || got.digest != f.digest {
			return Published{}, differs("its file %s is another (%v)", f.name, err)
		}
	}
	if sums, err := os.ReadFile(filepath.Join(dir, bundles.SumsName)); err != nil || !bytes.Equal(sums, want[2].data) {
		return Published{}, differs("its %s is another", bundles.SumsName)
	}
	fmt.Fprintf(in.Log, "release %s is there already, with the same content\n", in.Tag)
	if in.DryRun {
		return result(in, m, true), nil
	}
	have, err := s.releases()
	if err != nil {
		return Published{}, err
	}
	delete(have, in.Tag)
	return result(in, m, true), s.setLatest(m.Release, m.Sequence, have, in.Log)
}

// difference names the first thing in which two manifests of a tag differ.
func difference(old, now *bundles.Manifest) string {
	ids := func(m *bundles.Manifest) map[string]string {
		r := map[string]string{}
		for _, b := range m.Bundles {
			r[b.ID] = b.App
		}
		return r
	}
	was, is := ids(old), ids(now)
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[id]; !ok {
			return fmt.Sprintf("bundle %q is missing now", id)
		}
		if is[id] != was[id] {
			return fmt.Sprintf("bundle %q has another app part", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[id]; !ok {
			return fmt.Sprintf("bundle %q is new", id)
		}
	}
	return "what it says of its parts differs"
}

func claimOf(in PublishInput) bundles.Claim {
	return bundles.Claim{Repository: in.Repository, Release: in.Tag, File: bundles.ManifestName}
}

func result(in PublishInput, m *bundles.Manifest, already bool) Published {
	p := Published{Release: m.Release, Sequence: m.Sequence, Dir: filepath.Join(in.Path, m.Release), Parts: len(m.Parts), Already: already}
	for _, part := range m.Parts {
		p.Bytes += part.Size
	}
	return p
}

package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// PublishInput is what a release in a folder is made from.
type PublishInput struct {
	// Path is the folder of releases; it is made where it does not exist.
	Path string
	// Tag is the new release's name.
	Tag string
	// DistDir holds fragments and the part files they name. It is only read.
	DistDir string
	// Key signs the manifest.
	Key bundles.PrivateKey
	// Repository that the signature is bound to; may be empty, see bundles.Claim.
	Repository string
	// Tool is the version of the program, for the manifest.
	Tool string
	// DryRun checks everything and writes nothing.
	DryRun bool
	// Log is told each step in a line; nil = silence.
	Log io.Writer
}

// Published says what there is now.
type Published struct {
	Release  string
	Sequence int64
	// Dir is the release's folder.
	Dir string
	// Parts is the number of parts, Bytes their packed size together.
	Parts int
	Bytes int64
	// Already says that the very same release had been published before.
	Already bool
}

// PublishDir makes a release in a folder out of a dist/ folder.
//
// Every part is read whole before anything is written: size, hash, and the
// digest of its contents, by the same rules that a runner will unpack it with.
// The sequence is one more than the highest in the folder. Parts are copied
// (never linked: dist/ may be rewritten) into a staging folder, flushed and
// renamed to <path>/<tag>; then "latest" is replaced, if it named an older one.
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
	frags, err := bundles.ReadFragments(in.DistDir)
	if err != nil {
		return Published{}, err
	}
	// The number is not known yet, but everything else that may be wrong is.
	draft, err := bundles.Compose(in.Tag, 1, in.Tool, frags)
	if err != nil {
		return Published{}, err
	}
	if err := checkParts(ctx, in, draft); err != nil {
		return Published{}, err
	}
	if in.DryRun {
		if _, err := os.Stat(in.Path); errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(in.Log, "dry run: would make %s with release %s\n", in.Path, in.Tag)
			return result(in, draft, false), nil
		}
	} else if err := os.MkdirAll(in.Path, 0o755); err != nil {
		return Published{}, err
	}
	s, err := lockShelf(ctx, in.Path, in.Log)
	if err != nil {
		return Published{}, err
	}
	defer s.unlock()
	return publishLocked(ctx, in, s, frags)
}

func publishLocked(ctx context.Context, in PublishInput, s *shelf, frags []bundles.Fragment) (Published, error) {
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
		return publishAgain(ctx, in, s, frags, old)
	}
	if _, err := os.Lstat(filepath.Join(in.Path, in.Tag)); err == nil {
		return Published{}, &ExistsError{Tag: in.Tag, Dir: in.Path, Why: "something of that name without a manifest lies there"}
	}
	var highest int64
	for _, r := range have {
		highest = max(highest, r.Sequence)
	}
	m, err := bundles.Compose(in.Tag, highest+1, in.Tool, frags)
	if err != nil {
		return Published{}, err
	}
	if err := checkEarlier(ctx, in.Path, m); err != nil {
		return Published{}, err
	}
	var need int64
	for _, p := range ownParts(m) {
		need += p.Size
	}
	if err := CheckSpace(in.Path, need+4<<20); err != nil {
		return Published{}, err
	}
	if in.DryRun {
		fmt.Fprintf(in.Log, "dry run: would publish %s with sequence %d\n", in.Tag, m.Sequence)
		return result(in, m, false), nil
	}
	if err := stage(ctx, in, s, m); err != nil {
		return Published{}, err
	}
	return result(in, m, false), s.setLatest(m.Release, m.Sequence, have, in.Log)
}

// publishAgain compares with what is there under the tag, and finishes what a
// killed run may have left: "latest".
func publishAgain(ctx context.Context, in PublishInput, s *shelf, frags []bundles.Fragment, old bundles.Manifest) (Published, error) {
	dir := filepath.Join(in.Path, in.Tag)
	differs := func(format string, args ...any) error {
		return &ExistsError{Tag: in.Tag, Dir: in.Path, Why: fmt.Sprintf(format, args...)}
	}
	// The program that publishes may be another version by now.
	m, err := bundles.Compose(in.Tag, old.Sequence, old.Tool, frags)
	if err != nil {
		return Published{}, err
	}
	want, err := m.Marshal()
	if err != nil {
		return Published{}, err
	}
	raw, sig, _, err := (&layout{files: folder{in.Path}}).Manifest(ctx, in.Tag)
	if err != nil {
		return Published{}, err
	}
	if !bytes.Equal(raw, want) {
		return Published{}, differs("%s", difference(&old, m))
	}
	if _, err := bundles.Open(raw, sig, []bundles.PublicKey{in.Key.Public()}, bundles.Want{Release: in.Tag}); err != nil {
		return Published{}, differs("%v", err)
	}
	if sameSig, err := bundles.Sign(raw, in.Key, claimOf(in)); err != nil || !bytes.Equal(sameSig, sig) {
		return Published{}, differs("it is signed for another repository (%v)", err)
	}
	for _, p := range ownParts(m) {
		if err := checkPart(ctx, filepath.Join(dir, p.Name), p.key, p.Part); err != nil {
			return Published{}, differs("it is damaged: %v", err)
		}
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

// namedPart is a part with its key.
type namedPart struct {
	key string
	bundles.Part
}

// ownParts are those whose file belongs into this release, by key.
func ownParts(m *bundles.Manifest) []namedPart {
	var own []namedPart
	for _, key := range slices.Sorted(maps.Keys(m.Parts)) {
		if p := m.Parts[key]; p.Release == nil {
			own = append(own, namedPart{key, p})
		}
	}
	return own
}

// checkParts reads every part of dist/ whole and joins what is wrong with them.
func checkParts(ctx context.Context, in PublishInput, m *bundles.Manifest) error {
	var faults []error
	for _, p := range ownParts(m) {
		if err := checkPart(ctx, filepath.Join(in.DistDir, p.Name), p.key, p.Part); err != nil {
			faults = append(faults, err)
			continue
		}
		fmt.Fprintf(in.Log, "checked %s\n", p.Name)
	}
	return errors.Join(faults...)
}

// checkEarlier looks for the parts that an earlier release is said to hold.
func checkEarlier(ctx context.Context, path string, m *bundles.Manifest) error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(m.Parts)) {
		if p := m.Parts[key]; p.Release != nil {
			faults = append(faults, checkPart(ctx, filepath.Join(path, *p.Release, p.Name), key, p))
		}
	}
	return errors.Join(faults...)
}

// checkPart reads a part file as a runner would, and writes nothing.
func checkPart(ctx context.Context, path, key string, p bundles.Part) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("part file %s is missing: build it again", path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("part file %s is no file", path)
	case info.Size() != p.Size:
		return fmt.Errorf("part file %s has %d bytes and its fragment says %d: build it again", path, info.Size(), p.Size)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	both := io.TeeReader(f, h)
	var unpacked int64
	contents, walkErr := bundles.Walk(ctx, both, bundles.UnpackOptions{Name: p.Name, MaxBytes: p.Unpacked}, func(e bundles.Entry, _ io.Reader) error {
		unpacked += e.Size
		return nil
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, both); err != nil {
		return err
	}
	// The hash first: of a file that is not the one, nothing else matters.
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != key {
		return fmt.Errorf("part file %s has digest %s and its fragment says %s: build it again", path, got, key)
	}
	switch {
	case walkErr != nil:
		return walkErr
	case contents != p.Contents:
		return fmt.Errorf("part file %s unpacks to %s and its fragment says %s", path, contents, p.Contents)
	case p.Unpacked > 0 && unpacked != p.Unpacked:
		return fmt.Errorf("part file %s unpacks to %d bytes and its fragment says %d", path, unpacked, p.Unpacked)
	}
	return nil
}

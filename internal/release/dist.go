package release

import (
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

	"golang.org/x/sync/errgroup"

	"github.com/waqasm86/llcuda/bundles"
)

// PublishInput is what a release is made from.
type PublishInput struct {
	// Path is PublishDir's folder of releases; it is made where it does not exist.
	Path string
	// Tag is the new release's name.
	Tag string
	// DistDir holds fragments and the part files they name. It is only read.
	DistDir string
	// Extra are files that go along, by the name they get: bills of materials,
	// install.sh, programs. SHA256SUMS covers them; the manifest does not name them.
	Extra map[string]string
	// Key signs the manifest. Where it is missing, KeyMiss may say why.
	Key     bundles.PrivateKey
	KeyMiss error
	// Repository that the signature is bound to; may be empty for a folder, see
	// bundles.Claim.
	Repository string
	// Tool is the version of the program, for the manifest.
	Tool string
	// Checks are the caller's own conditions (coverage, models), asked with all
	// others before anything is written. One may join several misses.
	Checks []func(context.Context) error
	// DryRun checks everything and writes nothing.
	DryRun bool
	// Log is told each step in a line; nil = silence.
	Log io.Writer
	// Progress is told how far an item is, in bytes; a step of "" ends it. nil = silence.
	Progress func(item, step string, done, total int64)
}

// dist is what lies ready to be published, read whole.
type dist struct {
	frags []bundles.Fragment
	// draft is the manifest but for its number and what earlier releases hold.
	draft *bundles.Manifest
	extra []file
}

// file is one file of a release: on disk, or in data.
type file struct {
	name   string
	size   int64
	digest string // "sha256:…"
	path   string
	data   []byte
}

// readDist reads all that a release is made of, and joins everything that is
// wrong with it.
func readDist(ctx context.Context, in PublishInput) (*dist, error) {
	var faults []error
	extra, err := readExtra(in)
	faults = append(faults, err)
	frags, err := bundles.ReadFragments(in.DistDir)
	if err != nil {
		return nil, errors.Join(append(faults, err)...)
	}
	// The number is not known yet, but everything else that may be wrong is.
	draft, err := bundles.Compose(in.Tag, 1, in.Tool, frags)
	if err != nil {
		return nil, errors.Join(append(faults, err)...)
	}
	for _, p := range draft.Parts {
		if _, taken := in.Extra[p.Name]; taken {
			faults = append(faults, fmt.Errorf("extra file %s has the name of a part", p.Name))
		}
	}
	faults = append(faults, checkParts(ctx, in, draft))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &dist{frags, draft, extra}, nil
}

func readExtra(in PublishInput) ([]file, error) {
	var files []file
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(in.Extra)) {
		// The rule of parts: names that GitHub keeps as they are.
		err := bundles.CheckPartName(name)
		if err == nil {
			var f file
			f, err = describe(name, in.Extra[name])
			files = append(files, f)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("extra file %s: %w", name, err))
		}
	}
	return files, errors.Join(faults...)
}

// describe reads a file for its size and digest.
func describe(name, path string) (file, error) {
	// A pipe may never end, and cannot be read again when it is uploaded.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return file{}, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return file{name: name, size: n, digest: digest(h.Sum(nil)), path: path}, err
}

func inMemory(name string, data []byte) file {
	sum := sha256.Sum256(data)
	return file{name: name, size: int64(len(data)), digest: digest(sum[:]), data: data}
}

func digest(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// papers are the files that say what a release is: manifest, signature, sums.
func papers(in PublishInput, m *bundles.Manifest, extra []file) ([]file, error) {
	raw, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	sig, err := bundles.Sign(raw, in.Key, claimOf(in))
	if err != nil {
		return nil, err
	}
	manifest := inMemory(bundles.ManifestName, raw)
	var sums []bundles.Sum
	for _, f := range append([]file{manifest}, append(partFiles(in.DistDir, m), extra...)...) {
		sum, err := bundles.SHA256Hex(f.digest)
		if err != nil {
			return nil, err
		}
		sums = append(sums, bundles.Sum{Name: f.name, SHA256: sum})
	}
	text, err := bundles.MarshalSums(sums)
	if err != nil {
		return nil, err
	}
	return []file{manifest, inMemory(bundles.SignatureName, sig), inMemory(bundles.SumsName, text)}, nil
}

// partFiles are the files of the parts that belong into this release.
func partFiles(dir string, m *bundles.Manifest) []file {
	var files []file
	for _, p := range ownParts(m) {
		files = append(files, file{name: p.Name, size: p.Size, digest: p.key, path: filepath.Join(dir, p.Name)})
	}
	return files
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
	own := ownParts(m)
	faults := make([]error, len(own))
	var g errgroup.Group
	g.SetLimit(2) // unpacking is what takes the time
	for i, p := range own {
		g.Go(func() error {
			faults[i] = checkPart(ctx, filepath.Join(in.DistDir, p.Name), p.key, p.Part)
			return nil
		})
	}
	_ = g.Wait()
	for i, p := range own {
		if faults[i] == nil {
			fmt.Fprintf(in.Log, "checked %s\n", p.Name)
		}
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
	if got := digest(h.Sum(nil)); got != key {
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

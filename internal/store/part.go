package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/fetch"
)

// wantedPart is a part and the digest it is known by.
type wantedPart struct {
	Digest string
	bundles.Part
	hex string
}

func newWantedPart(m *bundles.Manifest, digest, kind string) (wantedPart, error) {
	p, ok := m.Parts[digest]
	if !ok {
		return wantedPart{}, fmt.Errorf("manifest %s has no part %s", m.Release, digest)
	}
	if p.Kind != kind {
		return wantedPart{}, fmt.Errorf("part %s of manifest %s: kind %q where %q belongs", digest, m.Release, p.Kind, kind)
	}
	hex, err := bundles.SHA256Hex(digest)
	return wantedPart{digest, p, hex}, err
}

func (p wantedPart) dir() string      { return partsDir + "/sha256-" + p.hex }
func (p wantedPart) record() string   { return p.dir() + ".json" }
func (p wantedPart) download() string { return downloadsDir + "/sha256-" + p.hex }

// partRecord is parts/sha256-<hex>.json.
type partRecord struct {
	Schema int          `json:"schema"`
	Digest string       `json:"digest"`
	Part   bundles.Part `json:"part"`
	Files  []file       `json:"files"`
}

// havePart returns the files of a part that is there and whole, nil if it is not.
func (w *session) havePart(ctx context.Context, p wantedPart, full bool) ([]file, string, error) {
	var rec partRecord
	if err := readJSON(w.root, p.record(), &rec); err != nil {
		return nil, "", nil
	}
	if got, err := digest(rec.Files); err != nil || got != p.Contents {
		return nil, "its record is of other contents", nil
	}
	why, err := compare(ctx, w.root, p.dir(), rec.Files, full)
	if err != nil || why != "" {
		return nil, why, err
	}
	return rec.Files, "", nil
}

// addPart downloads and unpacks a part that is not there.
func (w *session) addPart(ctx context.Context, p wantedPart, in InstallInput, progress func(done, total int64)) ([]file, error) {
	for _, name := range []string{p.record(), p.dir()} {
		if err := w.discard(name); err != nil {
			return nil, err
		}
	}
	o := in.Fetch
	o.Open = in.opener(p.Part)
	o.Dest, o.Name, o.Size, o.SHA256 = w.path(p.download()), p.Name, p.Size, p.hex
	o.Progress, o.Log = progress, in.Log
	path, err := fetch.File(ctx, o)
	if err != nil {
		return nil, err
	}
	w.step("downloaded")
	files, err := w.unpack(ctx, p, path)
	if err != nil {
		// The bytes are those of the manifest; they will not get better.
		var bad *PartError
		if errors.As(err, &bad) {
			err = joinQuietly(err, w.discard(p.download()))
		}
		return nil, err
	}
	w.step("part in place")
	if err := w.write(p.record(), partRecord{1, p.Digest, p.Part, files}); err != nil {
		return nil, err
	}
	w.step("part recorded")
	return files, w.discard(p.download())
}

// unpack turns a verified download into parts/sha256-<hex>/.
func (w *session) unpack(ctx context.Context, p wantedPart, path string) ([]file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, w.fileError("opening", p.download(), err)
	}
	defer f.Close()
	temp := scratch()
	files, err := w.unpackInto(ctx, p, f, temp)
	if err == nil {
		w.step("unpacked")
		err = w.move(temp, p.dir())
	}
	if err != nil {
		// Joined, not lost: debris is removed by the next install as well.
		return nil, joinQuietly(err, w.root.RemoveAll(temp))
	}
	return files, nil
}

func (w *session) unpackInto(ctx context.Context, p wantedPart, f *os.File, temp string) ([]file, error) {
	contents, err := bundles.Unpack(ctx, f, w.path(temp), bundles.UnpackOptions{Name: p.Name, MaxBytes: p.Unpacked, Sync: true})
	var errno unix.Errno
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("unpacking %s: %w", p.Name, context.Cause(ctx))
	case errors.As(err, &errno): // the disk's fault, not the archive's
		return nil, w.fileError("unpacking "+p.Name+" into", temp, err)
	case err != nil:
		return nil, &PartError{p.Name, p.Digest, err}
	case contents != p.Contents:
		return nil, &PartError{p.Name, p.Digest, fmt.Errorf("contents are %s, the manifest says %s", contents, p.Contents)}
	}
	// Read back what the disk has: this is what the record will vouch for.
	files, err := listTree(ctx, w.root, temp)
	if err != nil {
		return nil, w.fileError("reading", temp, err)
	}
	if got, err := digest(files); err != nil || got != p.Contents {
		return nil, w.fileError("reading", temp, errors.New("the disk returns other bytes than were written"))
	}
	var sum int64
	for _, f := range files {
		sum += f.Size
	}
	if p.Unpacked > 0 && sum != p.Unpacked {
		return nil, &PartError{p.Name, p.Digest, fmt.Errorf("it unpacks to %d bytes, the manifest says %d", sum, p.Unpacked)}
	}
	return files, nil
}

// joinQuietly adds a second error only where there is one, so that err keeps
// its type for the usual case.
func joinQuietly(err, second error) error {
	if second == nil {
		return err
	}
	return errors.Join(err, second)
}

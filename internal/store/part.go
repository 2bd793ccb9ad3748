package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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
	files, why, err := compareTimes(ctx, w.root, p.dir(), rec.Files, full)
	if err != nil || why != "" {
		return nil, why, err
	}
	return files, "", nil
}

// addPart downloads a part that is not there and unpacks it while it comes.
//
// The unpacker reads the file that the download writes: bytes that nobody has
// checked yet. What it makes of them lies in staging and has no record; it gets
// its name only after the size and SHA-256 of the packed file are those of the
// manifest, and the digest of the tree is, which the part's own list of hashes has
// (bundles.UnpackOptions.Listed). Where bytes turn out wrong the
// tree is thrown away and unpacked anew from the next ones. Unpacking begins
// when decoder is closed; the download does not wait for it.
func (w *session) addPart(ctx context.Context, p wantedPart, in InstallInput, decoder <-chan struct{}, progress func(done, total int64)) ([]file, error) {
	for _, name := range []string{p.record(), p.dir()} {
		if err := w.discard(name); err != nil {
			return nil, err
		}
	}
	u := unpacked{w: w, p: p, decoder: decoder, tell: in.Unpacking}
	defer u.drop()
	o := in.Fetch
	o.Open, o.OpenRange = in.opener(p.Part), in.rangeOpener(p.Part)
	o.Dest, o.Name, o.Size, o.SHA256 = w.path(p.download()), p.Name, p.Size, p.hex
	o.Progress, o.Log = progress, in.Log
	o.NoSync = true     // it is gone when its part is there, and hashed again if it is not
	if p.Unpacked > 0 { // else nothing signed bounds what wrong bytes unpack to
		o.Follow = u.follow
	}
	path, err := fetch.File(ctx, o)
	if err == nil && o.Follow == nil {
		err = u.after(ctx, path)
	}
	if err != nil {
		// Right bytes that make no part will not get better.
		var bad *PartError
		if errors.As(err, &bad) {
			err = joinQuietly(err, w.discard(p.download()))
		}
		return nil, err
	}
	w.step("unpacked")
	if err := w.move(u.dir, p.dir()); err != nil {
		return nil, err
	}
	w.step("part in place")
	if err := w.write(p.record(), partRecord{1, p.Digest, p.Part, u.files}); err != nil {
		return nil, err
	}
	w.step("part recorded")
	return u.files, w.discard(p.download())
}

// unpacked is a part's tree in staging while it is made.
type unpacked struct {
	w *session
	p wantedPart
	// decoder is closed when it is this part's turn.
	decoder <-chan struct{}
	tell    func(part string, done, total int64)

	dir   string
	files []file
}

// drop removes the tree, if it is still in staging. What cannot be removed is
// removed by the next install.
func (u *unpacked) drop() {
	if u.dir != "" {
		_ = u.w.root.RemoveAll(u.dir)
	}
}

// after unpacks a verified file.
func (u *unpacked) after(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return u.w.fileError("opening", u.p.download(), err)
	}
	defer f.Close()
	return u.follow(ctx, f)
}

// follow is a fetch.Options.Follow.
func (u *unpacked) follow(ctx context.Context, unverified io.Reader) error {
	p := u.p
	if err := wait(ctx, u.decoder); err != nil {
		return fmt.Errorf("unpacking %s: %w", p.Name, err)
	}
	u.drop()
	u.dir, u.files = scratch(), nil
	src := &noted{r: unverified}
	o := bundles.UnpackOptions{Name: p.Name, MaxBytes: p.Unpacked, Listed: p.Contents, Sync: true}
	if u.tell != nil {
		o.Progress = func(done, total int64) { u.tell(p.Name, done, total) }
	}
	entries, contents, err := bundles.UnpackTree(ctx, src, u.w.path(u.dir), o)
	var errno unix.Errno
	switch {
	case err != nil && src.err != nil: // the download's fault, and its to tell
		return src.err
	case ctx.Err() != nil:
		return fmt.Errorf("unpacking %s: %w", p.Name, context.Cause(ctx))
	case errors.As(err, &errno): // the disk's fault, not the archive's
		return u.w.fileError("unpacking "+p.Name+" into", u.dir, err)
	case err != nil:
		return &PartError{p.Name, p.Digest, err}
	case contents != p.Contents:
		return &PartError{p.Name, p.Digest, fmt.Errorf("contents are %s, the manifest says %s", contents, p.Contents)}
	}
	// An archive may end before its file does: no part that we make does.
	if n, err := io.Copy(io.Discard, src); err != nil || n > 0 {
		return cmp.Or(src.err, error(&PartError{p.Name, p.Digest, errors.New("its file holds more after the archive")}))
	}
	var sum int64
	for _, e := range entries {
		sum += e.Size
	}
	if p.Unpacked > 0 && sum != p.Unpacked {
		return &PartError{p.Name, p.Digest, fmt.Errorf("it unpacks to %d bytes, the manifest says %d", sum, p.Unpacked)}
	}
	if u.files, err = written(u.w.root, u.dir, entries); err != nil {
		return u.w.fileError("reading", u.dir, err)
	}
	return nil
}

// noted keeps the error that its reader gave, but for the end.
type noted struct {
	r   io.Reader
	err error
}

func (n *noted) Read(b []byte) (int, error) {
	k, err := n.r.Read(b)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return k, err
}

// written turns what an unpacker says it wrote into the record of a part, after
// a look at what the folder holds: names, types, modes, link targets and sizes.
// The bytes are not read again. What they are follows from the packed file's SHA-256
// and each frame's checksum, and fsync said that they are on the disk; reading them
// now would be answered from the memory they still lie in. What a disk loses later a
// full check finds ([Store.Verify], InstallInput.Full), by the hashes of the signed list.
func written(root *os.Root, dir string, entries []bundles.Entry) ([]file, error) {
	files := make([]file, 0, len(entries))
	for _, e := range entries {
		files = append(files, file{Path: e.Path, Type: e.Type, Mode: e.Mode, Size: e.Size, SHA256: e.SHA256, Target: e.Target})
	}
	files, why := compareNames(root, dir, files)
	if why != "" {
		return nil, errors.New("not what was written: " + why)
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

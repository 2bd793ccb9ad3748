package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/bundles"
)

// files is a tree of files that can be read from an offset: a folder or a
// mirror of one. Names are clean relative paths with forward slashes.
type files interface {
	String() string
	open(ctx context.Context, name string, at span) (io.ReadCloser, int64, error)
}

// layout is the source over a tree of files in the layout of the package doc.
type layout struct {
	files files
	tag   string
	stall time.Duration
}

func (l *layout) String() string {
	if l.tag != "" {
		return l.files.String() + "@" + l.tag
	}
	return l.files.String()
}

// Repository is empty: a folder may hold the releases of any repository.
func (l *layout) Repository() string { return "" }

func (l *layout) Manifest(ctx context.Context, tag string) (raw, sig []byte, release string, err error) {
	if tag == "" {
		tag = l.tag
	}
	asked := tag
	if tag == "" {
		tag, err = l.latest(ctx)
		if nf := (*NotFoundError)(nil); errors.As(err, &nf) {
			return l.single(ctx, "", nf)
		}
		if err != nil {
			return nil, nil, "", err
		}
	}
	if err := bundles.CheckTag(tag); err != nil {
		return nil, nil, "", fmt.Errorf("%s: %w", l.files, err)
	}
	raw, sig, err = l.pair(ctx, tag)
	if nf := (*NotFoundError)(nil); errors.As(err, &nf) && asked != "" {
		return l.single(ctx, asked, nf)
	}
	return raw, sig, tag, err
}

// latest reads the tag of the newest release.
func (l *layout) latest(ctx context.Context) (string, error) {
	data, err := l.read(ctx, bundles.LatestName, 256)
	if err != nil {
		return "", err
	}
	tag := string(bytes.TrimSpace(data))
	if err := bundles.CheckTag(tag); err != nil {
		return "", fmt.Errorf("%s of %s: %w", bundles.LatestName, l.files, err)
	}
	return tag, nil
}

// single treats the tree as one release's own folder. The release's name is
// then taken from the unverified manifest: bundles.Open holds it against the
// signature. missing is what to say where there is no manifest either.
func (l *layout) single(ctx context.Context, asked string, missing error) (raw, sig []byte, release string, err error) {
	raw, sig, err = l.pair(ctx, "")
	if nf := (*NotFoundError)(nil); errors.As(err, &nf) && strings.HasSuffix(nf.URL, bundles.ManifestName) {
		return nil, nil, "", missing
	}
	if err != nil {
		return nil, nil, "", err
	}
	var head struct {
		Release string `json:"release"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, nil, "", fmt.Errorf("%s of %s: %w", bundles.ManifestName, l.files, err)
	}
	if err := bundles.CheckTag(head.Release); err != nil {
		return nil, nil, "", fmt.Errorf("%s of %s: %w", bundles.ManifestName, l.files, err)
	}
	if asked != "" && asked != head.Release {
		return nil, nil, "", missing
	}
	return raw, sig, head.Release, nil
}

func (l *layout) pair(ctx context.Context, dir string) (raw, sig []byte, err error) {
	if raw, err = l.read(ctx, path.Join(dir, bundles.ManifestName), bundles.MaxManifestSize); err != nil {
		return nil, nil, err
	}
	if sig, err = l.read(ctx, path.Join(dir, bundles.SignatureName), bundles.MaxSignatureSize); err != nil {
		return nil, nil, err
	}
	return raw, sig, nil
}

func (l *layout) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	r, _, err := l.files.open(ctx, name, span{})
	if err != nil {
		return nil, err
	}
	data, err := readBounded(r, limit, name+" of "+l.files.String(), l.stall)
	if err == nil && isPage(data) {
		return nil, &PageError{URL: l.files.String() + "/" + name}
	}
	return data, err
}

// Open looks in the release's folder, then in the tree itself and beside it (where
// that is one release's own folder, and a part may lie in an earlier one's; a wrong
// file is found out by its hash).
func (l *layout) Open(ctx context.Context, release, name string, offset int64) (io.ReadCloser, int64, error) {
	return l.openSpan(ctx, release, name, span{from: offset})
}

// OpenRange is Open for a part of a file.
func (l *layout) OpenRange(ctx context.Context, release, name string, from, to int64) (io.ReadCloser, int64, error) {
	return l.openSpan(ctx, release, name, span{from, to})
}

func (l *layout) openSpan(ctx context.Context, release, name string, at span) (io.ReadCloser, int64, error) {
	if err := checkFile(release, name, at); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", l.files, err)
	}
	r, size, err := l.files.open(ctx, path.Join(release, name), at)
	if nf := (*NotFoundError)(nil); errors.As(err, &nf) {
		for _, other := range []string{name, path.Join("..", release, name)} {
			if r, size, err2 := l.files.open(ctx, other, at); err2 == nil {
				return r, size, nil
			}
		}
		return nil, 0, nf
	}
	return r, size, err
}

// checkFile refuses names that could lead elsewhere than into a release.
func checkFile(release, name string, at span) error {
	if err := bundles.CheckTag(release); err != nil {
		return err
	}
	switch name {
	case bundles.ManifestName, bundles.SignatureName, bundles.SumsName:
	default:
		if err := bundles.CheckPartName(name); err != nil {
			return err
		}
	}
	if at.from < 0 || at.to < 0 || at.to > 0 && at.to <= at.from {
		return fmt.Errorf("bytes from %d to %d: no such range", at.from, at.to)
	}
	return nil
}

// isPage says that data begins as a web page does, which no file of a release is.
func isPage(data []byte) bool {
	head := bytes.ToLower(bytes.TrimLeft(data[:min(len(data), 512)], " \t\r\n"))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html")) ||
		bytes.HasPrefix(head, []byte("<!--")) && bytes.Contains(head, []byte("<html"))
}

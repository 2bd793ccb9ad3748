package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/fetch"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

// verifyRelease holds every part against what the signed manifest says of it,
// and every bundle against its cell.
func verifyRelease(ctx context.Context, s *cli.Streams, m *matrix.Matrix, o verifyOptions, tool *verify.Tool) (verdict, error) {
	r, err := openSigned(ctx, s, o.target, o.keys)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{target: fmt.Sprintf("release %s of %s (%d parts)", r.manifest.Release, r.source, len(r.manifest.Parts)),
		promise: fmt.Sprintf("its %d bundles promise", len(r.manifest.Bundles))}
	if len(r.manifest.Bundles) == 1 {
		v.promise = r.manifest.Bundles[0].Cell + " promises"
	}
	for _, key := range slices.Sorted(maps.Keys(r.manifest.Parts)) {
		if err := v.part(ctx, m, r, key, tool); err != nil {
			return verdict{}, err
		}
	}
	return v, nil
}

func (v *verdict) part(ctx context.Context, m *matrix.Matrix, r signedRelease, key string, tool *verify.Tool) error {
	part := r.manifest.Parts[key]
	open, clean, err := r.opener(ctx, key)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		v.miss(part.Name, "", missUnreadable, err.Error(), "publish it again, or look where the source lost it")
		return nil
	}
	defer clean()
	size, digest, err := hashOf(ctx, open)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		v.miss(part.Name, "", missUnreadable, err.Error(), "publish it again, or look where the source lost it")
		return nil
	case size != part.Size:
		v.miss(part.Name, "size", missSize, fmt.Sprintf("it has %d bytes, the manifest says %d", size, part.Size), damagedCure)
		return nil
	case digest != key:
		v.miss(part.Name, "sha256", missDigest, fmt.Sprintf("its digest is %s, the manifest says %s", digest, key), damagedCure)
		return nil
	}
	read, err := readPart(ctx, open, bundles.UnpackOptions{Name: part.Name, MaxBytes: part.Unpacked}, tool)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		v.miss(part.Name, "", missUnreadable, err.Error(), "it was published as it is: build it anew")
		return nil
	}
	v.asked += read.asked
	v.add(part.Name, read.misses)
	if read.contents != part.Contents {
		v.miss(part.Name, "contents", missContents, fmt.Sprintf("its contents are %s, the manifest says %s", read.contents, part.Contents), "it was published as it is: build it anew")
	}
	if err := v.facts(r.manifest.Tool, part, read); err != nil {
		return err
	}
	if part.Kind == bundles.PartRuntime {
		if err := v.runtime(m, part, read); err != nil {
			return err
		}
	}
	for _, b := range r.manifest.Bundles {
		if b.App == key {
			if err := v.bundle(m, part, b, read); err != nil {
				return err
			}
		}
	}
	return nil
}

const damagedCure = "the file at the source is not the one that was signed: put that one back"

// facts holds what the manifest publishes of a part against what was read back.
func (v *verdict) facts(tool string, published bundles.Part, read partRead) error {
	again := appPart(published.Name, bundles.Packed{Size: published.Size, Contents: published.Contents, Unpacked: read.unpacked}, read.report)
	// What is not read from the part's own files is taken as it is published.
	again.Kind, again.Form, again.Release, again.CPU = published.Kind, published.Form, published.Release, published.CPU
	again.Lean = leftOf(published.Lean, read.report.Files)
	if published.Kind == bundles.PartRuntime {
		again.Provides = provides(read.report)
		again.Floors = compat.PartFloorsOf(again)
	}
	list, err := differences(published, again)
	if err != nil {
		return err
	}
	fix := "the manifest says what the file does not hold: build and publish it anew"
	if tool != "llcuda-build "+version {
		fix = fmt.Sprintf("the manifest was written by %s, this is llcuda-build %s: verify with that one, or build and publish anew", tool, version)
	}
	for _, d := range list {
		v.misses = append(v.misses, partMiss{Part: published.Name, Field: d.field, Miss: verify.Miss{Code: missFacts, File: d.file,
			Text: fmt.Sprintf("%s is published as %s, read back is %s", d.field, d.published, d.read), Fix: fix}})
	}
	return nil
}

// leftOf is a record of pruning as the files have it: for each compute capability
// that it promises, what a driver would choose of NVIDIA's units now. Where the
// facts do not tell that is nothing.
func leftOf(l *bundles.Lean, files []facts.File) *bundles.Lean {
	if l == nil {
		return nil
	}
	left := &bundles.Lean{Of: l.Of, Selected: map[string]bundles.Selected{}}
	for name := range l.Selected {
		left.Selected[name] = bundles.Selected{}
		if cc, err := compat.ParseCC(name); err == nil {
			if s, ok := compat.Selected(files, cc); ok {
				left.Selected[name] = s
			}
		}
	}
	return left
}

// bundle holds a bundle against its cell, and its bundle.json against the manifest.
func (v *verdict) bundle(m *matrix.Matrix, part bundles.Part, b bundles.Bundle, read partRead) error {
	info, err := readInfo(read.info)
	if err == nil && len(read.info) == 0 {
		err = fmt.Errorf("there is no %s", bundles.InfoName)
	}
	if err != nil {
		v.miss(part.Name, "", missBundle, err.Error(), "build it anew")
		return nil
	}
	type said struct {
		Cell, Platform, Toolkit string
		Image                   bundles.Image
		Source                  bundles.Source
	}
	list, err := differences(said{b.Cell, b.Platform, b.Toolkit, b.Image, b.Source}, said{info.Cell, info.Platform, info.Toolkit, info.Image, info.Source})
	if err != nil {
		return err
	}
	for _, d := range list {
		field := strings.ToLower(d.field)
		v.misses = append(v.misses, partMiss{Part: part.Name, Field: field, Miss: verify.Miss{Code: missBundle, File: bundles.InfoName,
			Text: fmt.Sprintf("%s of bundle %s is published as %s, %s says %s", field, b.ID, d.published, bundles.InfoName, d.read), Fix: "build and publish it anew"}})
	}
	plan, err := planOfImage(m, b.Cell, b.Image)
	if err != nil {
		v.miss(part.Name, "cell", missBundle, fmt.Sprintf("bundle %s: %v", b.ID, err), "verify it with the matrix that it was built from: --matrix FILE")
		return nil
	}
	v.add(part.Name, promiseMisses(m, plan, read.report))
	return nil
}

func (v *verdict) miss(part, field, code, text, fix string) {
	v.misses = append(v.misses, partMiss{Part: part, Field: field, Miss: verify.Miss{Code: code, Text: text, Fix: fix}})
}

// opener gives a part's bytes as often as they are asked for: from where they
// are, or from a temporary copy of the packed part.
func (r signedRelease) opener(ctx context.Context, key string) (open opener, clean func(), err error) {
	part, tag := r.manifest.Parts[key], r.manifest.Release
	if part.Release != nil {
		tag = *part.Release
	}
	from := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return r.source.Open(ctx, tag, part.Name, offset)
	}
	if r.near {
		return func(ctx context.Context) (io.ReadCloser, error) {
			body, _, err := from(ctx, 0)
			return body, err
		}, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "llcuda-verify-")
	if err != nil {
		return nil, nil, err
	}
	path, err := fetch.File(ctx, fetch.Options{Open: from, Dest: filepath.Join(dir, part.Name), Size: part.Size, SHA256: key})
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return openFile(path), func() { os.RemoveAll(dir) }, nil
}

// hashOf reads everything once.
func hashOf(ctx context.Context, open opener) (size int64, digest string, err error) {
	in, err := open(ctx)
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	h := sha256.New()
	size, err = io.Copy(h, struct{ io.Reader }{in})
	return size, "sha256:" + hex.EncodeToString(h.Sum(nil)), err
}

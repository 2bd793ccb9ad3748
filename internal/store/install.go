package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/fetch"
)

// InstallInput says what to install. Manifest, BundleID and OpenPart are required.
type InstallInput struct {
	Manifest *bundles.Manifest
	BundleID string
	// Runtime is the digest of one of the bundle's runtime parts, or
	// bundles.RuntimeHost or "" to install the app part alone.
	Runtime string
	// Source names where the release comes from, for List.
	Source string
	// OpenPart opens a packed part from offset on; see fetch.Opener for what
	// reader and error mean. Part.Release names the release that holds it, nil
	// = Manifest.Release.
	OpenPart func(ctx context.Context, part bundles.Part, offset int64) (io.ReadCloser, int64, error)
	// OpenRange opens the bytes of a packed part from from up to, not including,
	// to, so that several connections can be used; nil = one. See fetch.RangeOpener.
	OpenRange func(ctx context.Context, part bundles.Part, from, to int64) (io.ReadCloser, int64, error)
	// Full reads every byte of a bundle that is already there, instead of
	// names, sizes and times only.
	Full bool
	// Progress is told of downloaded bytes, over all parts, by one goroutine at a
	// time; nil = nobody.
	Progress func(done, total int64)
	// Unpacking is told of the unpacked bytes of one part, beside Progress and
	// from another goroutine; nil = nobody.
	Unpacking func(part string, done, total int64)
	// Waiting is told once, if another process is installing, which (0 = unknown).
	Waiting func(pid int)
	// Log hears details; nil = nobody.
	Log *slog.Logger
	// Fetch gives the patience (Stall, Retries, Backoff, Retrying, FreeSpace);
	// its other fields are set by Install.
	Fetch fetch.Options
	// Now is the time of install for the record; nil = time.Now.
	Now func() time.Time
}

// Installed is a bundle on disk.
type Installed struct {
	ID      string `json:"id"`
	Release string `json:"release"`
	// Dir is absolute and holds llama-server.
	Dir    string         `json:"dir"`
	Bundle bundles.Bundle `json:"bundle"`
	// Runtime is the digest of the runtime part in Dir, "" where there is none.
	Runtime string    `json:"runtime,omitempty"`
	Source  string    `json:"source,omitempty"`
	Time    time.Time `json:"time"`
	// Size is the sum of the file sizes in Dir, in bytes.
	Size int64 `json:"size"`
	// Fresh is true where this call installed or mended it.
	Fresh bool `json:"-"`

	record string
}

// bundleRecord is bundles/<id>/<release>/<key>.json.
type bundleRecord struct {
	Schema  int                     `json:"schema"`
	ID      string                  `json:"id"`
	Release string                  `json:"release"`
	Source  string                  `json:"source,omitempty"`
	Bundle  bundles.Bundle          `json:"bundle"`
	Runtime string                  `json:"runtime,omitempty"`
	Parts   map[string]bundles.Part `json:"parts"`
	Time    time.Time               `json:"time"`
	Files   []file                  `json:"files"`
}

// plan is an InstallInput that was found to make sense.
type plan struct {
	in      InstallInput
	bundle  bundles.Bundle
	runtime string
	parts   []wantedPart
	// dir is bundles/<id>/<release>/<key>.
	dir string
}

func (in InstallInput) plan() (plan, error) {
	p := plan{in: in}
	if in.Manifest == nil || in.OpenPart == nil {
		return p, errors.New("install: Manifest and OpenPart are required")
	}
	if in.Log == nil {
		p.in.Log = slog.New(slog.DiscardHandler)
	}
	if in.Progress == nil {
		p.in.Progress = func(int64, int64) {}
	}
	if in.Now == nil {
		p.in.Now = time.Now
	}
	m := in.Manifest
	i := slices.IndexFunc(m.Bundles, func(b bundles.Bundle) bool { return b.ID == in.BundleID })
	if i < 0 {
		return p, fmt.Errorf("release %s has no bundle %q", m.Release, in.BundleID)
	}
	p.bundle = m.Bundles[i]
	if err := errors.Join(bundles.CheckBundleID(p.bundle.ID), bundles.CheckTag(m.Release)); err != nil {
		return p, err
	}
	app, err := newWantedPart(m, p.bundle.App, bundles.PartApp)
	if err != nil {
		return p, err
	}
	p.parts = append(p.parts, app)
	if in.Runtime != "" && in.Runtime != bundles.RuntimeHost {
		if !slices.Contains(p.bundle.Runtime, in.Runtime) {
			return p, fmt.Errorf("bundle %s of release %s has no runtime %q", p.bundle.ID, m.Release, in.Runtime)
		}
		p.runtime = in.Runtime
		rt, err := newWantedPart(m, in.Runtime, bundles.PartRuntime)
		if err != nil {
			return p, err
		}
		p.parts = append(p.parts, rt)
	}
	sum := sha256.Sum256([]byte(p.bundle.App + "\n" + p.runtime + "\n"))
	p.dir = bundlesDir + "/" + p.bundle.ID + "/" + m.Release + "/" + hex.EncodeToString(sum[:8])
	return p, nil
}

func (in InstallInput) opener(part bundles.Part) fetch.Opener {
	return func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return in.OpenPart(ctx, part, offset)
	}
}

func (in InstallInput) rangeOpener(part bundles.Part) fetch.RangeOpener {
	if in.OpenRange == nil {
		return nil
	}
	return func(ctx context.Context, from, to int64) (io.ReadCloser, int64, error) {
		return in.OpenRange(ctx, part, from, to)
	}
}

// Install makes sure that a bundle is installed and whole. If it is, nothing
// is written and no lock taken. If not, the parts that are missing or damaged
// are downloaded; while another process installs, it waits.
//
// Errors: those of fetch.File, [*PartError] for a part that is not what its
// manifest says, [*bundles.HostileError] inside one. When ctx ends its cause
// is returned and what was downloaded stays for the next time.
func (s *Store) Install(ctx context.Context, in InstallInput) (Installed, error) {
	p, err := in.plan()
	if err != nil {
		return Installed{}, err
	}
	if got, why, err := s.lookup(ctx, p); err != nil || why == "" {
		return got, err
	}
	w, err := s.begin(ctx, in.Waiting)
	if err != nil {
		return Installed{}, err
	}
	defer w.end()
	w.step("locked")
	// Whoever held the lock may have done the work.
	got, why, err := s.lookup(ctx, p)
	if err != nil || why == "" {
		return got, err
	}
	mend := why != notInstalled
	if mend {
		p.in.Log.Warn("mending", "bundle", p.bundle.ID, "release", in.Manifest.Release, "because", why)
	}
	return w.install(ctx, p, mend)
}

const notInstalled = "not installed"

// lookup finds an installed bundle. why is "" where it is there and whole.
func (s *Store) lookup(ctx context.Context, p plan) (got Installed, why string, err error) {
	root, err := s.root()
	if err != nil {
		var no *StoreError
		if errors.As(err, &no) {
			return Installed{}, "", err
		}
		return Installed{}, notInstalled, nil // begin will say what is wrong, if anything
	}
	defer root.Close()
	var rec bundleRecord
	if err := readJSON(root, p.dir+".json", &rec); err != nil {
		return Installed{}, notInstalled, nil
	}
	if rec.Bundle.App != p.bundle.App || rec.Runtime != p.runtime {
		return Installed{}, "its record is of another bundle", nil
	}
	why, err = compare(ctx, root, p.dir, rec.Files, p.in.Full)
	if err != nil || why != "" {
		return Installed{}, why, err
	}
	return s.installed(rec, p.dir), "", nil
}

func (s *Store) installed(rec bundleRecord, dir string) Installed {
	in := Installed{
		ID: rec.ID, Release: rec.Release, Dir: s.path(dir), Bundle: rec.Bundle, Runtime: rec.Runtime,
		Source: rec.Source, Time: rec.Time, record: dir + ".json",
	}
	for _, f := range rec.Files {
		in.Size += f.Size
	}
	return in
}

// install does the work under the lock. mend says that what is there was found
// damaged: then parts are believed only after every byte was read.
func (w *session) install(ctx context.Context, p plan, mend bool) (Installed, error) {
	have := make(map[string][]file, len(p.parts))
	var missing []wantedPart
	for _, part := range p.parts {
		files, why, err := w.havePart(ctx, part, mend || p.in.Full)
		if err != nil {
			return Installed{}, err
		}
		if why != "" {
			p.in.Log.Warn("part is damaged", "part", part.Name, "because", why)
		}
		if files == nil {
			missing = append(missing, part)
			continue
		}
		have[part.Digest] = files
	}
	ahead, err := w.checkSpace(p, missing)
	if err != nil {
		return Installed{}, err
	}
	added, err := w.addParts(ctx, p.in, missing, ahead)
	if err != nil {
		return Installed{}, fmt.Errorf("installing bundle %s %s: %w", p.bundle.ID, p.in.Manifest.Release, err)
	}
	maps.Copy(have, added)
	return w.assemble(ctx, p, have)
}

// checkSpace compares the most that the disk will hold at one time with what
// it has. ahead says that there is room to download parts while those before
// them are unpacked; else one is downloaded, unpacked and its download removed
// before the next. Links cost nothing.
func (w *session) checkSpace(p plan, missing []wantedPart) (ahead bool, err error) {
	var used, later, apart, beside int64
	packed := make([]int64, len(missing))
	for i, part := range missing {
		packed[i] = part.Size
		for _, name := range []string{part.download(), part.download() + fetch.Unverified} {
			if info, err := w.root.Lstat(name); err == nil {
				packed[i] -= min(info.Size(), packed[i])
			}
		}
		later += packed[i]
	}
	for i, part := range missing {
		apart = max(apart, used+packed[i]+part.Unpacked)
		beside = max(beside, used+later+part.Unpacked)
		used, later = used+part.Unpacked, later-packed[i]
	}
	name := "bundle " + p.bundle.ID
	if fetch.CheckSpace(p.in.Fetch.FreeSpace, w.dir, beside, name) == nil {
		return true, nil
	}
	return false, fetch.CheckSpace(p.in.Fetch.FreeSpace, w.dir, apart, name)
}

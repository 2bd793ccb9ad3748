//go:build linux && amd64

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/fetch"
	"github.com/waqasm86/llcuda/internal/release"
	"github.com/waqasm86/llcuda/internal/store"
)

// releaseOptions say where releases come from and whom to trust for them.
type releaseOptions struct {
	from    string
	keys    []string
	offline bool
	// settled goes on with the release that was installed last, and asks the
	// source only where there is none; upgrade asks all the same.
	settled, upgrade bool
	// fresh wants the source's own answer and fails without.
	fresh bool
	// readHost reads the machine that bundles are judged for.
	readHost hostReader
}

func (o *releaseOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.from, "from", "", "release source: `github:OWNER/REPO[@TAG] | DIR | https://…` (env LLCUDA_FROM)")
	f.StringArrayVar(&o.keys, "key", nil, "trust this minisign public `KEY` or .pub file too (env LLCUDA_KEY)")
	f.BoolVar(&o.offline, "offline", false, "use what was verified and installed here; fetch nothing")
}

// settle makes a command go on with the release that was installed last: what
// serves today serves tomorrow, without the network and without a new release
// in the middle of somebody's work.
func (o *releaseOptions) settle(f *pflag.FlagSet) {
	o.settled = true
	f.BoolVar(&o.upgrade, "upgrade", false, "ask the source for its newest release first; without it the one that was installed last is used")
}

// fill takes from the environment what no flag gave.
func (o *releaseOptions) fill(s *cli.Streams) {
	if o.from == "" {
		o.from = s.Env("LLCUDA_FROM")
	}
	if v := s.Env("LLCUDA_KEY"); v != "" && len(o.keys) == 0 {
		o.keys = bundles.KeysIn(v)
	}
}

// opened is a release whose signature was checked.
type opened struct {
	source   release.Source
	manifest *bundles.Manifest
	// raw and sig are the bytes that were checked.
	raw, sig []byte
	// remembered marks the last verified manifest, used because the source was not asked.
	remembered bool
}

// openRelease opens the release to use: the one that was installed last where o
// is settled on that, else the one that the source offers, which is remembered.
// Where the source cannot be asked, what is remembered is used, and that is said.
func openRelease(ctx context.Context, s *cli.Streams, st *store.Store, o releaseOptions) (opened, error) {
	if o.from == "" {
		return opened{}, &cli.Error{Err: errors.New("no release source is known"), Code: cli.ExitUsage,
			Cure: "name one with --from github:OWNER/REPO, --from DIR or --from https://…, or set LLCUDA_FROM"}
	}
	src, err := release.Parse(o.from, release.Options{
		Token: s.Env("GITHUB_TOKEN"), UserAgent: "llcuda-run/" + version,
		// A name of our own: where a workflow runs on a server of its own, GITHUB_API_URL
		// is that server's, and the releases that users install are github.com's.
		GitHubBaseURL: s.Env("LLCUDA_GITHUB_API"),
	})
	if err != nil {
		return opened{}, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	keys, err := bundles.TrustedKeys(o.keys)
	if err != nil {
		return opened{}, err
	}
	r := reading{s, st, src, keys}
	if o.settled && !o.upgrade {
		if used, err := r.used(); err == nil {
			used.remembered = o.offline
			r.sayNewer(used.manifest)
			return used, nil
		}
	}
	if o.offline {
		return r.last()
	}
	got, err := r.ask(ctx)
	var away *unreachable
	if !errors.As(err, &away) || o.fresh || ctx.Err() != nil {
		return got, err
	}
	old, oldErr := r.used()
	if oldErr != nil {
		old, oldErr = r.last()
	}
	if oldErr != nil {
		return opened{}, err
	}
	note(s, "%v", away)
	note(s, "going on with release %s, which was verified here before", old.manifest.Release)
	return old, nil
}

// reading is a source, what is remembered of it, and the keys it is held against.
type reading struct {
	s    *cli.Streams
	st   *store.Store
	src  release.Source
	keys []bundles.PublicKey
}

// open checks signature, claim and sequence.
func (r reading) open(raw, sig []byte, tag string, sequence int64) (opened, error) {
	m, err := bundles.Open(raw, sig, r.keys, bundles.Want{Repository: r.src.Repository(), Release: tag,
		File: bundles.ManifestName, MinSequence: sequence})
	if err != nil {
		return opened{}, unfit(r.src.String(), err)
	}
	return opened{source: r.src, manifest: m, raw: raw, sig: sig}, nil
}

// used is the release that was installed last. It may be older than what the
// source has shown since: that is the point of it.
func (r reading) used() (opened, error) {
	raw, sig, err := r.st.UsedManifest(r.src.String())
	if err != nil {
		return opened{}, err
	}
	return r.open(raw, sig, "", 0)
}

// last is the release that was verified last.
func (r reading) last() (opened, error) {
	name := r.src.String()
	raw, sig, err := r.st.LastManifest(name)
	if err != nil {
		return opened{}, &cli.Error{Err: fmt.Errorf("no manifest of %s was verified here before: %w", name, err),
			Code: cli.ExitDownload, Cure: "run it once without --offline"}
	}
	got, err := r.open(raw, sig, "", r.st.Sequence(name))
	got.remembered = true
	return got, err
}

// unreachable says that a source gave no manifest at all, good or bad.
type unreachable struct{ err *cli.Error }

func (e *unreachable) Error() string { return e.err.Error() }
func (e *unreachable) Unwrap() error { return e.err }

// ask fetches the source's manifest and remembers it.
func (r reading) ask(ctx context.Context) (opened, error) {
	name := r.src.String()
	var raw, sig []byte
	var tag string
	err := fetch.Retry(ctx, 3, 200*time.Millisecond, func(err error, pause time.Duration) {
		note(r.s, "%v; trying again in %s", err, pause.Round(100*time.Millisecond))
	}, func() (err error) {
		raw, sig, tag, err = r.src.Manifest(ctx, "")
		return err
	})
	if err != nil {
		return opened{}, &unreachable{&cli.Error{Err: fmt.Errorf("asking %s for its manifest: %w", name, err), Code: cli.ExitDownload,
			Cure: cmp.Or(cure(err), fetch.NetworkHint(err), "check the network and the release source (--from); --offline uses what was verified here before")}}
	}
	got, err := r.open(raw, sig, tag, r.st.Sequence(name))
	if err != nil {
		return opened{}, err
	}
	if err := r.st.SaveManifest(name, raw, sig, got.manifest.Sequence); err != nil && !errors.Is(err, os.ErrPermission) {
		return opened{}, err
	}
	return got, nil
}

// sayNewer tells of a release that some earlier command has seen.
func (r reading) sayNewer(m *bundles.Manifest) {
	if r.st.Sequence(r.src.String()) <= m.Sequence {
		return
	}
	if last, err := r.last(); err == nil {
		note(r.s, "release %s is out, release %s is used: llcuda-run pull installs the new one", last.manifest.Release, m.Release)
	}
}

// adopt remembers the release that a bundle was installed from. In a store that
// cannot be written its owner has done so.
func (r opened) adopt(st *store.Store) error {
	err := st.UseManifest(r.source.String(), r.raw, r.sig, r.manifest.Sequence)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

// ranges opens pieces of parts, for several connections at once.
func (r opened) ranges(offline bool) func(ctx context.Context, part bundles.Part, from, to int64) (io.ReadCloser, int64, error) {
	if offline {
		return nil
	}
	return func(ctx context.Context, part bundles.Part, from, to int64) (io.ReadCloser, int64, error) {
		tag := r.manifest.Release
		if part.Release != nil {
			tag = *part.Release
		}
		return r.source.OpenRange(ctx, tag, part.Name, from, to)
	}
}

// unfit gives the faults inside a signed manifest, which have no type of their
// own, the exit code of a failed verification.
func unfit(source string, err error) error {
	var coded interface{ ExitCode() int }
	if err == nil || errors.As(err, &coded) {
		return err
	}
	return &cli.Error{Err: fmt.Errorf("the manifest of %s is signed and cannot be used: %w", source, err), Code: cli.ExitDownload,
		Cure: "the release itself is wrong, not the download: tell its owner, or use another release (--from SOURCE@TAG)"}
}

// cure is the hint of an error, "" without one.
func cure(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

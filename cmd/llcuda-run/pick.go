//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/host"
	"github.com/waqasm86/llcuda/internal/release"
	"github.com/waqasm86/llcuda/internal/store"
)

// pickOptions say which bundle of a release is wanted.
type pickOptions struct {
	releaseOptions
	cpu     bool
	bundle  string
	verbose bool
}

func (o *pickOptions) flags(f *pflag.FlagSet) {
	o.releaseOptions.flags(f)
	f.BoolVar(&o.cpu, "cpu", false, "use the CPU although there is an NVIDIA GPU")
	f.StringVar(&o.bundle, "bundle", "", "use this `BUNDLE` of the release, whatever else would fit")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say on stderr what is done, with llama-server's own log")
}

func (o *pickOptions) log(s *cli.Streams) *slog.Logger {
	if !o.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(s.Err, nil))
}

// scene is what a choice is made from: a machine and a release.
type scene struct {
	host    facts.Host
	release opened
}

// look opens the release, and reads the machine meanwhile.
func look(ctx context.Context, s *cli.Streams, st *store.Store, o pickOptions) (scene, error) {
	if err := needsGlibc(os.DirFS("/")); err != nil {
		return scene{}, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		host facts.Host
		err  error
	}
	read := make(chan result, 1)
	go func() {
		h, err := o.readHost.read(reading)
		read <- result{h, err}
	}()
	r, err := openRelease(ctx, s, st, o.releaseOptions)
	if err != nil {
		return scene{}, err
	}
	if r.remembered {
		note(s, "offline: release %s as it was last verified here", r.manifest.Release)
	}
	got := <-read
	return scene{got.host, r}, got.err
}

// picked is the bundle that will be used on this host.
type picked struct {
	scene
	choice *facts.Choice
	bundle bundles.Bundle
	// verdict is what was judged of it: native, jit, unknown, cpu; refused where
	// it was asked for by name all the same.
	verdict string
}

// chooseOptions change a choice.
type chooseOptions struct {
	// force takes the bundle that was asked for by name also where it is judged not
	// to run: somebody will see whether it does.
	force bool
	// tried are the bundles that were tried and failed.
	tried []string
}

// choose says on stderr what it chose and why.
func (sc scene) choose(s *cli.Streams, st *store.Store, o pickOptions, co chooseOptions) (picked, error) {
	p := picked{scene: sc}
	all := sc.release.manifest
	named := o.bundle != "" && !slices.Contains(co.tried, o.bundle)
	manifest := without(all, co.tried)
	if named {
		var err error
		if manifest, err = only(all, o.bundle); err != nil {
			return p, err
		}
	}
	d := compat.Decide(manifest, sc.host, compat.ChooseOptions{CPU: o.cpu, Unknown: named, Refused: named && co.force, Installed: installedParts(st),
		HostFiles: hostFiles(st, manifest, sc.host, true)})
	choice := d.Choice
	if choice == nil {
		if len(co.tried) == 0 {
			writeCandidates(s.Err, inkFor(s, s.Err), nil, d.Candidates)
			if d.Proposal != nil || slices.ContainsFunc(manifest.Bundles, func(b bundles.Bundle) bool { return b.Source.Fixture }) {
				note(s, "%s", d.Explanation)
			}
		}
		err := noBundle(manifest, sc.host, o)
		if i := slices.IndexFunc(d.Candidates, func(c facts.Candidate) bool { return c.Verdict == facts.VerdictUnknown }); i >= 0 && co.force && !named {
			id := d.Candidates[i].Bundle
			err = &cli.Error{Err: err, Code: cli.ExitNoBundle,
				Cure: fmt.Sprintf("whether %s runs here hinges on a fact that is not known: --bundle %s tries it, and the proof decides", id, id)}
		}
		return p, err
	}
	p.choice = choice
	p.bundle = all.Bundles[slices.IndexFunc(all.Bundles, func(b bundles.Bundle) bool { return b.ID == choice.Bundle })]
	for _, c := range d.Candidates {
		if c.Bundle == choice.Bundle {
			p.verdict = c.Verdict
		}
	}
	if p.verdict == facts.VerdictRefused {
		writeCandidates(s.Err, inkFor(s, s.Err), nil, d.Candidates)
		note(s, "%s is tried although it is judged not to run here: --bundle asks for it", p.bundle.ID)
		return p, nil
	}
	note(s, "%s", explain(sc.host, choice, o.cpu))
	return p, nil
}

// installedParts are the packed parts that need not be fetched. A store that
// cannot be read has none: installing will say what is wrong with it.
func installedParts(st *store.Store) map[string]bool {
	list, err := st.List()
	if err != nil {
		return nil
	}
	parts := map[string]bool{}
	for _, b := range list {
		parts[b.Bundle.App] = true
		if b.Runtime != "" {
			parts[b.Runtime] = true
		}
	}
	return parts
}

// only narrows a manifest to one bundle; without a name it is the manifest.
func only(m *bundles.Manifest, id string) (*bundles.Manifest, error) {
	if id == "" {
		return m, nil
	}
	var ids []string
	for _, b := range m.Bundles {
		if b.ID == id {
			narrowed := *m
			narrowed.Bundles = []bundles.Bundle{b}
			return &narrowed, nil
		}
		ids = append(ids, b.ID)
	}
	return nil, cli.Usagef("release %s has no bundle %q; it has %s", m.Release, id, strings.Join(ids, ", "))
}

// without is a manifest but for some bundles.
func without(m *bundles.Manifest, ids []string) *bundles.Manifest {
	if len(ids) == 0 {
		return m
	}
	left := *m
	left.Bundles = slices.DeleteFunc(slices.Clone(m.Bundles), func(b bundles.Bundle) bool { return slices.Contains(ids, b.ID) })
	return &left
}

// explain is the sentence about why this bundle.
func explain(h facts.Host, c *facts.Choice, asked bool) string {
	switch {
	case c.Via == facts.VerdictCPU && asked:
		return fmt.Sprintf("on the CPU as asked: bundle %s", c.Bundle)
	case c.Via == facts.VerdictCPU:
		why := ""
		if h.Unknown["driver"] != "" {
			why = " (" + h.Unknown["driver"] + ")"
		}
		return fmt.Sprintf("there is no NVIDIA GPU here%s: bundle %s, on the CPU", why, c.Bundle)
	default:
		return describeChoice(c)
	}
}

// noBundle says that nothing fits, and what to type.
func noBundle(m *bundles.Manifest, h facts.Host, o pickOptions) error {
	cure := "llcuda-run doctor says why, for each bundle; --cpu serves on the CPU if the release has a bundle for it"
	switch {
	case slices.ContainsFunc(m.Bundles, func(b bundles.Bundle) bool { return b.Source.Fixture }):
		cure = "use a release made from llama.cpp (--from)"
	case o.bundle != "": // of the others nothing was asked
		cure = "leave --bundle out; llcuda-run doctor says which bundle fits, and why the others do not"
	case h.GPUs != nil && len(h.GPUs) == 0 && h.Driver == nil: // nil: they could not be listed
		cure = "there is no NVIDIA GPU here, and the release has no bundle for the CPU: use another release (--from)"
	}
	if o.cpu && o.bundle == "" {
		return &cli.Error{Err: fmt.Errorf("release %s has no bundle for the CPU that fits this host", m.Release), Code: cli.ExitNoBundle,
			Cure: "leave --cpu out, or use another release (--from)"}
	}
	if o.bundle != "" {
		return &cli.Error{Err: fmt.Errorf("bundle %s of release %s does not fit this host", o.bundle, m.Release), Code: cli.ExitNoBundle, Cure: cure}
	}
	return &cli.Error{Err: fmt.Errorf("no bundle of release %s fits this host", m.Release), Code: cli.ExitNoBundle, Cure: cure}
}

// hostReader reads the machine that a command is for.
type hostReader func(context.Context) facts.Host

// read is the machine; when ctx ended meanwhile, what was read may say "unknown"
// for that alone, and is no answer.
func (r hostReader) read(ctx context.Context) (facts.Host, error) {
	h := r(ctx)
	if ctx.Err() != nil {
		return facts.Host{}, context.Cause(ctx)
	}
	return h, nil
}

// thisHost reads this machine; driver libraries are asked in a child.
func thisHost(s *cli.Streams) hostReader {
	return func(ctx context.Context) facts.Host {
		return host.Read(ctx, host.Options{Env: s.EnvMap(), Self: []string{"/proc/self/exe", probeCommand}})
	}
}

// besideReading is how much memory an install may take beside what reading a part
// takes: a download over several connections has 32 MiB (package fetch).
const besideReading = 64 << 20

// install brings the picked bundle into the store.
func install(ctx context.Context, s *cli.Streams, st *store.Store, p picked, o pickOptions, asJSON bool) (store.Installed, error) {
	if p.bundle.Source.Fixture {
		return store.Installed{}, &cli.Error{Code: cli.ExitNoBundle,
			Err:  fmt.Errorf("bundle %s of release %s is the test fixture: it serves nothing", p.bundle.ID, p.release.manifest.Release),
			Cure: "use a release made from llama.cpp (--from)"}
	}
	progress := cli.NewProgress(s.Err, asJSON)
	show := &shown{progress: progress, name: p.bundle.ID}
	in := store.InstallInput{
		Manifest: p.release.manifest, BundleID: p.bundle.ID, Runtime: p.choice.Runtime,
		Source: p.release.source.String(), Log: o.log(s),
		OpenPart: func(ctx context.Context, part bundles.Part, offset int64) (io.ReadCloser, int64, error) {
			if o.offline {
				return nil, 0, &offlineError{part.Name}
			}
			tag := p.release.manifest.Release
			if part.Release != nil {
				tag = *part.Release
			}
			return p.release.source.Open(ctx, tag, part.Name, offset)
		},
		OpenRange: p.release.ranges(o.offline), Fetch: patience(progress),
		Progress: show.downloaded, Unpacking: show.unpacked,
		Waiting: func(pid int) { progress.Printf("llcuda-run: waiting for another install to finish (pid %d)", pid) },
	}
	cli.BoundMemory(bundles.MemoryToRead() + besideReading)
	installed, err := st.Install(ctx, in)
	if err != nil {
		progress.Finish(p.bundle.ID, "") // so that the error has a line of its own
		var notFound *release.NotFoundError
		if errors.As(err, &notFound) {
			return installed, &cli.Error{Err: err, Code: cli.ExitDownload, Cure: notFound.Hint()}
		}
		return installed, err
	}
	progress.Finish(p.bundle.ID, "")
	if err := p.release.adopt(st); err != nil {
		return installed, err
	}
	if installed.Fresh {
		note(s, "installed %s of release %s (%s) in %s", installed.ID, installed.Release, cli.Size(installed.Size), installed.Dir)
	}
	return installed, nil
}

// offlineError says that --offline would have to fetch.
type offlineError struct{ name string }

func (e *offlineError) Error() string {
	return e.name + " is not installed, and --offline fetches nothing"
}
func (e *offlineError) Hint() string    { return "run it once without --offline" }
func (e *offlineError) ExitCode() int   { return cli.ExitDownload }
func (e *offlineError) Permanent() bool { return true }

// note is a line for people on stderr.
func note(s *cli.Streams, format string, args ...any) {
	fmt.Fprintf(s.Err, "llcuda-run: "+format+"\n", args...)
}

func openStore(s *cli.Streams) (*store.Store, error) {
	dir, err := store.DefaultDir(s.EnvMap())
	if err != nil {
		return nil, err
	}
	return store.Open(dir)
}

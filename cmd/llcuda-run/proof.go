//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/prove"
	"github.com/waqasm86/llcuda/internal/serve"
	"github.com/waqasm86/llcuda/internal/store"
)

// proofOptions say how a bundle is settled on.
type proofOptions struct {
	pickOptions
	// noFallback ends with the first bundle that fails its proof.
	noFallback bool
	// unproved takes a bundle as it is judged: nothing is tried out. because is
	// told of it, "" is silence.
	unproved bool
	because  string
	// again proves also what was proved before.
	again bool
	// judged takes no bundle, not even by name, that is judged not to run here.
	judged bool
	// progress is as JSON.
	json bool
}

func (o *proofOptions) flags(f *pflag.FlagSet) {
	o.pickOptions.flags(f)
	f.Lookup("bundle").Usage = "try this `BUNDLE` of the release first, also where it is judged not to run here"
	f.BoolVar(&o.noFallback, "no-fallback", false, "end with 5 where a bundle fails its proof, in place of trying the next one that fits")
}

// settled is a bundle that is installed here and passed its proof.
type settled struct {
	picked
	installed store.Installed
	// release lets go of the bundle.
	release func() error
	id      prove.Identity
	// record is nil where nothing was proved.
	record *prove.Record
}

// attempt is one bundle that was tried.
type attempt struct {
	picked
	report prove.Report
	time   time.Time
	// files is what the installed files themselves say against running here, read
	// after a failure.
	files []facts.Reason
}

// settle chooses, installs and proves, until a bundle passes: one that fails makes
// place for the next that fits, and what was found is told of each. tried are all
// that a proof was made of, the last being the one that is returned, if any.
func settle(ctx context.Context, s *cli.Streams, st *store.Store, o proofOptions) (got settled, tried []attempt, err error) {
	sc, err := look(ctx, s, st, o.pickOptions)
	if err != nil {
		return settled{}, nil, err
	}
	return sc.settle(ctx, s, st, o, func(picked) {})
}

// settle is that in a scene. first is told of the first choice before it is installed.
func (sc scene) settle(ctx context.Context, s *cli.Streams, st *store.Store, o proofOptions, first func(picked)) (got settled, tried []attempt, err error) {
	co := chooseOptions{force: !o.unproved && !o.judged}
	for {
		p, err := sc.choose(s, st, o.pickOptions, co)
		if err != nil {
			if len(tried) > 0 {
				err = noneProved(sc, tried)
			}
			return settled{}, tried, err
		}
		if len(co.tried) == 0 {
			first(p)
		}
		got := settled{picked: p}
		if got.installed, err = install(ctx, s, st, p, o.pickOptions, o.json); err != nil {
			return settled{}, tried, err
		}
		if got.release, err = st.Hold(got.installed); err != nil {
			return settled{}, tried, err
		}
		if o.unproved {
			if o.because != "" {
				note(s, "warning: nothing was proved (%s)", o.because)
			}
			return got, tried, nil
		}
		report, when, err := got.prove(ctx, s, st, o)
		if err != nil {
			_ = got.release() // nothing uses it
			return settled{}, tried, err
		}
		var files []facts.Reason
		if !report.Passed {
			files = readAgain(got)
		}
		if got.record == nil || o.again {
			tried = append(tried, attempt{p, report, when, files})
		}
		if report.Passed {
			return got, tried, nil
		}
		_ = got.release()
		tellFailure(s, p, report, files)
		if co.tried = append(co.tried, p.bundle.ID); o.noFallback {
			return settled{}, tried, noneProved(sc, tried)
		}
	}
}

// prove recalls the bundle's proof, or makes it and remembers it.
func (got *settled) prove(ctx context.Context, s *cli.Streams, st *store.Store, o proofOptions) (prove.Report, time.Time, error) {
	memory := proofs(st)
	got.id = identityOf(got.picked)
	if r, ok := memory.Recall(got.id); ok && !o.again {
		got.record = &r
		return r.Report, r.Time, nil
	}
	devices := provable(got.picked)
	if got.verdict == facts.VerdictJIT {
		note(s, "proving %s: the driver compiles its code first, which may take minutes", got.bundle.ID)
	}
	in := prove.Input{Bundle: got.bundle.ID, Server: got.server(s, o.pickOptions), Devices: devices,
		Native: got.verdict == facts.VerdictNative, Reference: memory.Reference(got.id)}
	known := in.Reference != nil
	when := time.Now().UTC().Truncate(time.Second)
	report, err := prove.Run(ctx, in)
	if err != nil {
		return report, when, err
	}
	if !known && report.Reference != nil && report.Passed {
		err = memory.KeepReference(got.id, *report.Reference)
	}
	if !report.Passed {
		return report, when, nil
	}
	got.record = &prove.Record{Bundle: got.bundle.ID, Release: got.scene.release.manifest.Release, Time: when, Identity: got.id, Report: report}
	if err = errors.Join(err, memory.Keep(*got.record)); err != nil {
		note(s, "warning: the proof will be made again: %v", err)
	}
	note(s, "%s", describeProof(got.bundle.ID, report))
	return report, when, nil
}

// server is how the bundle's server is started on this machine.
func (got settled) server(s *cli.Streams, o pickOptions) serve.Options {
	so := serve.Options{Dir: got.installed.Dir, Env: s.Environ, Log: o.log(s)}
	onGPU := got.choice.Via != facts.VerdictCPU
	so.WantGPU, so.HideGPUs = onGPU, !onGPU
	if d := got.host.Driver; onGPU && d != nil && d.DirNeeded {
		so.DriverDir = d.Dir
	}
	if got.choice.Runtime == bundles.RuntimeHost {
		so.LibDirs = libDirs(compat.HostRuntime(got.scene.release.manifest.Parts[got.bundle.App], got.host))
	}
	so.GPUs = remaining(got.host, got.choice.Hide)
	return so
}

// proofs is where a store remembers them.
func proofs(st *store.Store) prove.Memory {
	return prove.NewMemory(filepath.Join(modelCache(st), "proofs"))
}

// identityOf is what a proof of this bundle on this machine holds for.
func identityOf(p picked) prove.Identity {
	id := machineOf(p.host)
	part := p.release.manifest.Parts[p.bundle.App]
	id.Contents, id.Native = part.Contents, p.verdict == facts.VerdictNative
	switch p.choice.Runtime {
	case "":
	case bundles.RuntimeHost:
		for _, l := range compat.HostRuntime(part, p.host) {
			id.Runtime = append(id.Runtime, fileIdentity(l.Path, l.Version))
			if v, ok := strings.CutPrefix(l.Soname, "libcublas.so"); ok {
				id.Runtime = append(id.Runtime, fileIdentity(filepath.Join(filepath.Dir(l.Path), "libcublasLt.so"+v), l.Version))
			}
		}
	default:
		id.Runtime = []string{p.release.manifest.Parts[p.choice.Runtime].Contents}
	}
	if p.choice.Via == facts.VerdictCPU {
		id.Driver, id.GPUs = "", nil
		return id
	}
	if len(p.choice.Hide) > 0 {
		id.GPUs = remaining(p.host, p.choice.Hide)
		slices.Sort(id.GPUs)
	}
	return id
}

// machineOf is the part of an identity that is this machine's.
func machineOf(h facts.Host) prove.Identity {
	id := prove.Identity{Version: prove.Version, CPU: h.CPU}
	if d := h.Driver; d != nil {
		id.Driver = fmt.Sprintf("kernel %s, libcuda %s, CUDA %s", orUnknown(d.Kernel), orUnknown(d.Libcuda), orUnknown(d.CUDA))
	}
	id.GPUs = visible(h)
	slices.Sort(id.GPUs)
	return id
}

// visible are the GPUs that programs see, as the driver names them.
func visible(h facts.Host) []string { return remaining(h, []int{-1}) }

// fileIdentity tells a file from another one without reading it.
func fileIdentity(path, version string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " (not there)"
	}
	return fmt.Sprintf("%s %s, %d bytes of %d", path, version, info.Size(), info.ModTime().UnixNano())
}

// provable are the GPUs that a bundle is proved on; none is the CPU.
func provable(p picked) []prove.Device {
	if p.choice.Via == facts.VerdictCPU {
		return nil
	}
	var list []prove.Device
	for _, g := range p.host.GPUs {
		if !g.Visible || slices.Contains(p.choice.Hide, g.Index) {
			continue
		}
		d := prove.Device{Index: g.Index, UUID: g.UUID, Name: g.Name, CC: g.CC, Select: gpuName(g)}
		if g.MIG && len(g.MIGs) > 0 {
			d.Select = g.MIGs[0] // a program uses one instance at a time
		}
		list = append(list, d)
	}
	if len(list) == 0 { // they could not be listed: whatever the driver shows
		return []prove.Device{{Index: -1, Name: "the GPUs that the driver shows"}}
	}
	if len(list) == 1 && len(p.choice.Hide) == 0 {
		list[0].Select = "" // as the server will see it
	}
	return list
}

// describeProof is the one line about a proof that passed.
func describeProof(bundle string, r prove.Report) string {
	worst, names := 0.0, []string{}
	for _, d := range r.Devices {
		worst = max(worst, d.MaxDifference)
		names = append(names, d.Title())
	}
	how, whose := "", "the CPU's"
	if r.Native {
		how = ", without the driver's compiler"
	}
	if r.Devices[0].Index < 0 && r.Devices[0].Layers == 0 { // the CPU itself
		whose = "what they should be"
	}
	return fmt.Sprintf("proved %s on %s%s: log-probabilities within %.2f of %s, in %.1f s", bundle, strings.Join(names, ", "), how, worst, whose, r.Seconds)
}

// readAgain reads the truth of an installed bundle that failed, as `why DIR` does,
// where its manifest let it through: what that says is wrong, or the files are. Files
// that fit as well, or that this user may not read, add nothing.
func readAgain(got settled) []facts.Reason {
	if got.verdict != facts.VerdictNative && got.verdict != facts.VerdictJIT {
		return nil // told before
	}
	c, err := judgeForeign(got.installed.Dir, got.host)
	if bad := (*inspect.FormatError)(nil); errors.As(err, &bad) {
		return []facts.Reason{{Code: facts.DamagedFile, Part: bundles.PartApp, File: bad.File, Text: err.Error(), Fix: "use another release"}}
	}
	if err != nil || c.Verdict != facts.VerdictRefused {
		return nil
	}
	return c.Reasons
}

// tellFailure says on stderr why a bundle failed.
func tellFailure(s *cli.Streams, p picked, r prove.Report, files []facts.Reason) {
	defer func() {
		for _, f := range files {
			note(s, "its files, read here, do not hold what the manifest says: %s [%s]", f.Text, reasonCode(f))
		}
	}()
	for _, d := range r.Devices {
		f := d.Failure
		if f == nil {
			continue
		}
		note(s, "%s failed its proof on %s: %s", p.bundle.ID, d.Title(), f.Text)
		if f.Fix != "" {
			fmt.Fprintf(s.Err, "  → %s\n", f.Fix)
		}
		if misjudged(p.verdict, f.CUDAError) {
			fmt.Fprintf(s.Err, "  → it was judged %s: that is our mistake, please report it with the output of llcuda-run selftest --json\n", p.verdict)
		}
		if f.Line == "" {
			for _, line := range f.Tail {
				fmt.Fprintln(s.Err, "llama-server:", line)
			}
		}
	}
}

// reasonCode is a reason's code, with the CUDA error that the driver gives.
func reasonCode(r facts.Reason) string {
	if r.CUDAError == 0 {
		return r.Code
	}
	return fmt.Sprintf("%s, CUDA error %d", r.Code, r.CUDAError)
}

// misjudged says that a bundle lacks code for a GPU that it was said to have.
func misjudged(verdict string, cudaError int) bool {
	return (verdict == facts.VerdictNative || verdict == facts.VerdictJIT) && slices.Contains([]int{98, 200, 209, 218, 222, 223, 500}, cudaError)
}

// noneProved says that all bundles that were tried failed. Why each did was told.
func noneProved(sc scene, tried []attempt) error {
	if len(tried) == 1 {
		return &prove.Error{Bundle: tried[0].bundle.ID, Report: tried[0].report}
	}
	var list []string
	for _, a := range tried {
		why := "failed"
		for _, d := range a.report.Devices {
			if d.Failure != nil {
				why = d.Failure.Code
				if n := d.Failure.CUDAError; n != 0 {
					why += fmt.Sprintf(", CUDA error %d", n)
				}
				break
			}
		}
		list = append(list, fmt.Sprintf("%s (%s)", a.bundle.ID, why))
	}
	return &cli.Error{Code: cli.ExitProof,
		Err:  fmt.Errorf("no bundle of release %s passed its proof here: %s", sc.release.manifest.Release, strings.Join(list, ", ")),
		Cure: "the cures are above, one a bundle; --cpu serves on the CPU, if the release has a bundle for it"}
}

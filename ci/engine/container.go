package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dagger.io/dagger"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/matrix"
)

// Build runs the plan in this session.
func (s *session) Build(ctx context.Context, b wire.Build, tell Tell) (wire.Done, error) {
	r := &report{tell: tell}
	s.out.attach(r)
	defer s.out.detach()
	c := &containerBuild{Build: b, report: r, client: s.client}
	run := c.run
	if b.Ccache != nil {
		run = c.carryCcache
	}
	done, err := run(ctx)
	if err != nil {
		err = s.explain(ctx, r.current(), err)
	}
	return done, err
}

// interruptLag is how much later than the engine's client this process may hear
// of Ctrl-C: the terminal tells both.
const interruptLag = 2 * time.Second

// explain tells a build that was cancelled, and an engine that went away, from
// one that failed. The client's end can be seen before ctx's.
func (s *session) explain(ctx context.Context, step string, err error) error {
	var failed *Error
	lost := lostSession(err)
	if lost || errors.As(err, &failed) && failed.ExitCode >= 128 {
		timer := time.NewTimer(interruptLag)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("step %s: %w", step, ctx.Err())
	case lost:
		return noEngine(s.runner, fmt.Errorf("it went away during step %s: %w", step, err))
	}
	return err
}

// lostSession is true of an error of the connection, not of what ran. The
// engine's client answers 502 where it lost the engine; where the client itself
// is gone there is no answer.
func lostSession(err error) bool {
	var none *url.Error
	return errors.As(err, &none) || strings.Contains(err.Error(), "returned error 502")
}

// containerBuild is one build in one session.
type containerBuild struct {
	wire.Build
	report *report
	client *dagger.Client
}

// run is a build from image to named folder. Layers come in the order of how
// seldom they change: image, prepare, source, steps.
func (c *containerBuild) run(ctx context.Context) (wire.Done, error) {
	p, r := c.Plan, c.report
	var res wire.Done
	src := c.client.Host().Directory(c.Source, dagger.HostDirectoryOpts{Exclude: c.Exclude})

	r.begin("image", p.Image)
	ctr := c.client.Container(dagger.ContainerOpts{Platform: dagger.Platform(p.Cell.Platform)}).From(p.Image)
	ref, err := ctr.ImageRef(ctx)
	if err != nil {
		return res, &Error{wire.Failed{Kind: wire.KindImage, Image: p.Image}, err}
	}
	if _, digest, ok := strings.Cut(ref, "@"); ok {
		res.ImageDigest = digest
	}
	ctr = c.environment(ctr)
	if p.Reuse {
		if ctr, err = c.addresses(ctx, ctr); err != nil {
			return res, err
		}
	}
	for _, s := range p.Prepare {
		if ctr, err = c.step(ctx, ctr, s); err != nil {
			return res, err
		}
	}

	if c.Fresh == "" {
		ctr = c.ccache(ctr)
	} else {
		ctr = ctr.WithEnvVariable(freshVariable, c.Fresh)
	}
	ctr = ctr.
		WithDirectory(p.Dirs.Build, c.client.Directory()).
		WithDirectory(p.Dirs.Out, c.client.Directory()).
		WithWorkdir(p.Dirs.Build)
	if !p.Draft {
		ctr = ctr.WithMountedDirectory(p.Dirs.Source, src)
	}
	for _, s := range p.Steps {
		if p.Draft && s.Name == matrix.StepBuild {
			ctr = c.kept(ctr, ref).WithMountedDirectory(p.Dirs.From, src)
		}
		if ctr, err = c.step(ctx, ctr, s); err != nil {
			return res, err
		}
	}

	r.begin("export")
	if p.ToolsFile != "" {
		if res.Tools, err = ctr.File(p.ToolsFile).Contents(ctx); err != nil {
			return res, fmt.Errorf("reading which tools built it: %w", err)
		}
	}
	if p.WitnessFile != "" {
		if res.Witness, err = ctr.File(p.WitnessFile).Contents(ctx); err != nil {
			return res, fmt.Errorf("reading what cuobjdump said: %w", err)
		}
	}
	if p.Reuse && !p.Draft {
		text, err := ctr.File(matrix.AddressesFile).Contents(ctx)
		if err != nil {
			return res, fmt.Errorf("reading whether addresses were random: %w", err)
		}
		if res.Random = strings.TrimSpace(text) == matrix.AddressesRandom; res.Random {
			r.note("addresses were random")
		}
	}
	if c.reuses() {
		log, err := ctr.File(matrix.ReuseLog).Contents(ctx)
		if err != nil {
			return res, fmt.Errorf("reading what was reused: %w", err)
		}
		if res.Reuse = reused(log); res.Reuse != "" {
			r.note(res.Reuse)
		}
	}
	if _, err := ctr.Directory(p.Dirs.Out).Export(ctx, c.Out); err != nil {
		return res, fmt.Errorf("fetching the output folder: %w", err)
	}
	return res, ctx.Err()
}

// reuses says whether an SM's machine code is taken from other builds and kept for
// them: what changes from draft to draft is nobody else's.
func (c *containerBuild) reuses() bool {
	return c.Plan.Reuse && c.Fresh == "" && !c.Plan.Draft
}

// reused sums up matrix.ReuseLog: a line for each run, "reused cicc 1200", the last
// being the milliseconds that NVIDIA's program took or would have.
func reused(log string) string {
	var count, all int
	var spared time.Duration
	for line := range strings.Lines(log) {
		all++
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "reused" {
			continue
		}
		count++
		if ms, err := strconv.Atoi(f[2]); err == nil {
			spared += time.Duration(ms) * time.Millisecond
		}
	}
	switch {
	case all == 0:
		return ""
	case count == 0:
		return fmt.Sprintf("0 of %d runs of cicc and ptxas were reused", all)
	}
	return fmt.Sprintf("%d of %d runs of cicc and ptxas were reused, which took %.1f s when they were made", count, all, spared.Seconds())
}

// kept gives the container of a draft the folders that the last one left, which
// drafts with the same image and commands share by turns. A step over them is never
// one that the engine remembers: what they hold is no part of its inputs.
func (c *containerBuild) kept(ctr *dagger.Container, ref string) *dagger.Container {
	p := c.Plan
	// What CMake was told once, it remembers: other arguments are other folders.
	hash := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", p.CMake, p.Env, ref))
	key := fmt.Sprintf("llcuda-draft %s %x ", p.Cell.ID, hash)
	alone := dagger.ContainerWithMountedCacheOpts{Sharing: dagger.CacheSharingModeLocked}
	return again(ctr).
		WithMountedCache(p.Dirs.Source, c.client.CacheVolume(key+"source"), alone).
		WithMountedCache(p.Dirs.Build, c.client.CacheVolume(key+"build"), alone)
}

// environment gives the container the plan's variables.
func (c *containerBuild) environment(ctr *dagger.Container) *dagger.Container {
	for _, kv := range c.Plan.Env {
		k, v, _ := strings.Cut(kv, "=")
		ctr = ctr.WithEnvVariable(k, v)
	}
	return ctr
}

// freshVariable carries Build.Fresh into the container. Nothing reads it: the engine
// knows a step by its inputs, and one more makes it a new one.
const freshVariable = "LLCUDA_FRESH"

// addresses carries into the container what the kernel does about random addresses
// now. Nothing reads it: what reuse.sh found out another time is no answer, and nor
// is what nvcc made then, so each step has this among its inputs.
func (c *containerBuild) addresses(ctx context.Context, ctr *dagger.Container) (*dagger.Container, error) {
	const ask = "cat /proc/self/personality /proc/sys/kernel/randomize_va_space; grep ^Seccomp: /proc/self/status || :"
	asked, err := c.step(ctx, ctr.WithEnvVariable(freshVariable, rand.Text()), matrix.Step{Name: "addresses", Args: []string{"sh", "-c", ask}})
	if err != nil {
		return nil, err
	}
	now, err := asked.Stdout(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking what the kernel does about addresses: %w", err)
	}
	return ctr.WithEnvVariable("LLCUDA_KERNEL", strings.Join(strings.Fields(now), " ")), nil
}

// step runs one command and waits for it.
func (c *containerBuild) step(ctx context.Context, ctr *dagger.Container, s matrix.Step) (*dagger.Container, error) {
	c.report.begin(s.Name, s.Args...)
	done, err := ctr.WithExec(s.Args).Sync(ctx)
	if err == nil {
		return done, nil
	}
	var exec *dagger.ExecError
	if ctx.Err() != nil || !errors.As(err, &exec) {
		return nil, fmt.Errorf("step %s: %w", s.Name, err)
	}
	// The live log may lag; the error holds the last 100 KiB of each stream.
	output := append(splitLines(exec.Stdout), splitLines(exec.Stderr)...)
	return nil, &Error{wire.Failed{Kind: wire.KindStep, Step: s.Name, ExitCode: exec.ExitCode, Output: output}, err}
}

// ccache gives the container a compiler cache: one volume for each platform,
// toolkit and image, so that cells of a toolkit share it. To ccache (4.7.5, measured)
// a list of -gencode is one key, and an object for several SMs is none of those for
// one: what cells share of nvcc's work is beside it, see matrix/reuse-tool.sh. The plan's own
// variables win.
func (c *containerBuild) ccache(ctr *dagger.Container) *dagger.Container {
	p := c.Plan
	if p.Dirs.Cache == "" {
		return ctr
	}
	toolkit := p.Cell.Toolkit
	if toolkit == "" {
		toolkit = "cpu"
	}
	key := strings.Join([]string{"llcuda-ccache", p.Cell.Platform, toolkit, p.Image}, " ")
	env := []string{
		"CCACHE_DIR=" + p.Dirs.Cache,
		"CCACHE_BASEDIR=" + p.Dirs.Build,
		"CCACHE_COMPILERCHECK=content",
		"CCACHE_NOHASHDIR=true",
	}
	if c.reuses() {
		env = append(env, "LLCUDA_REUSE="+p.Dirs.Cache+"/reuse", "LLCUDA_REUSE_LOG="+matrix.ReuseLog)
	}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(p.Env, func(have string) bool { return strings.HasPrefix(have, k+"=") }) {
			ctr = ctr.WithEnvVariable(k, v)
		}
	}
	return ctr.WithMountedCache(p.Dirs.Cache, c.client.CacheVolume(key))
}

package ci

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
	"github.com/waqasm86/llcuda/internal/source"
	"github.com/waqasm86/llcuda/matrix"
)

// DaggerOptions are what the Dagger builder takes from its caller.
type DaggerOptions struct {
	// Env is the caller's environment: _EXPERIMENTAL_DAGGER_RUNNER_HOST of it is
	// where the engine is. (The SDK reads this and
	// _EXPERIMENTAL_DAGGER_CLI_BIN from the process's environment too.)
	Env map[string]string
	// Stall is how long connecting may be silent; 0 is 2 minutes.
	Stall time.Duration
}

// closeLimit is how long a session may take to end.
const closeLimit = 30 * time.Second

type daggerBuilder struct {
	options DaggerOptions

	mu    sync.Mutex
	spare *session
}

// NewDagger connects to a Dagger engine; an *EngineError says that there is
// none. The builder lives no longer than ctx.
func NewDagger(ctx context.Context, o DaggerOptions) (Builder, error) {
	if o.Stall == 0 {
		o.Stall = 2 * time.Minute
	}
	s, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	return &daggerBuilder{options: o, spare: s}, nil
}

// Close ends the connection. Builds have closed theirs.
func (b *daggerBuilder) Close() error {
	if s := b.takeSpare(); s != nil {
		s.close(closeLimit)
	}
	return nil
}

func (b *daggerBuilder) takeSpare() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.spare
	b.spare = nil
	return s
}

func (b *daggerBuilder) Build(ctx context.Context, p matrix.Plan, o Job) (res Result, err error) {
	defer func() {
		if err != nil {
			res = Result{}
			var failed *StepError
			if !errors.As(err, &failed) {
				err = fmt.Errorf("cell %s: %w", p.Cell.ID, err)
			}
		}
	}()
	if err := ctx.Err(); err != nil {
		return res, err
	}
	st, err := openStaging(o.OutDir)
	if err != nil {
		return res, err
	}
	defer st.close()

	r := newReport(p.Cell.ID, o)
	r.begin("connect")
	s := b.takeSpare()
	if s == nil {
		if s, err = connect(ctx, b.options); err != nil {
			return res, err
		}
	}
	s.out.attach(r)
	// The session ends before the staging folder does: an export that runs on
	// has nowhere to write.
	defer s.out.detach()
	defer s.close(closeLimit)

	c := &containerBuild{plan: p, report: r, client: s.client}
	res, err = c.run(ctx, o, st)
	if err != nil {
		err = b.explain(ctx, r.current(), err)
	}
	return res, err
}

// interruptLag is how much later than the engine's client this process may hear
// of Ctrl-C: the terminal tells both.
const interruptLag = 2 * time.Second

// explain tells a build that was cancelled, and an engine that went away, from
// one that failed. The client's end can be seen before ctx's.
func (b *daggerBuilder) explain(ctx context.Context, step string, err error) error {
	var failed *StepError
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
		return &EngineError{Host: b.options.Env[envRunnerHost], Err: fmt.Errorf("it went away during step %s: %w", step, err)}
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
	plan   matrix.Plan
	report *report
	client *dagger.Client
}

// run is a build from image to named folder. Layers come in the order of how
// seldom they change: image, prepare, source, steps.
func (c *containerBuild) run(ctx context.Context, o Job, st *staging) (Result, error) {
	p, r := c.plan, c.report
	res := Result{Dir: st.outDir, ImageRef: p.Image}
	src, err := c.source(o.SourceDir)
	if err != nil {
		return res, err
	}

	r.begin("image", p.Image)
	ctr := c.client.Container(dagger.ContainerOpts{Platform: dagger.Platform(p.Cell.Platform)}).From(p.Image)
	ref, err := ctr.ImageRef(ctx)
	if err != nil {
		return res, &ImageError{Image: p.Image, Err: err}
	}
	if _, digest, ok := strings.Cut(ref, "@"); ok {
		res.ImageDigest = digest
	}
	for _, kv := range p.Env {
		k, v, _ := strings.Cut(kv, "=")
		ctr = ctr.WithEnvVariable(k, v)
	}
	for _, s := range p.Prepare {
		if ctr, err = c.step(ctx, ctr, s); err != nil {
			return res, err
		}
	}

	if o.Fresh == "" {
		ctr = c.ccache(ctr)
	} else {
		// The engine knows a step by its inputs: one more makes it a new one.
		ctr = ctr.WithEnvVariable(freshVariable, o.Fresh)
	}
	ctr = ctr.
		WithDirectory(p.Dirs.Build, c.client.Directory()).
		WithDirectory(p.Dirs.Out, c.client.Directory()).
		WithMountedDirectory(p.Dirs.Source, src).
		WithWorkdir(p.Dirs.Build)
	for _, s := range p.Steps {
		if ctr, err = c.step(ctx, ctr, s); err != nil {
			return res, err
		}
	}

	r.begin("export")
	if p.ToolsFile != "" {
		text, err := ctr.File(p.ToolsFile).Contents(ctx)
		if err != nil {
			return res, fmt.Errorf("reading which tools built it: %w", err)
		}
		if res.Tools, err = parseTools(text); err != nil {
			return res, fmt.Errorf("reading which tools built it: %w", err)
		}
	}
	if p.WitnessFile != "" {
		if res.Witness, err = ctr.File(p.WitnessFile).Contents(ctx); err != nil {
			return res, fmt.Errorf("reading what cuobjdump said: %w", err)
		}
	}
	if _, err := ctr.Directory(p.Dirs.Out).Export(ctx, st.out()); err != nil {
		return res, fmt.Errorf("fetching the output folder: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return res, err
	}
	if err := st.finish(st.out()); err != nil {
		return res, err
	}
	res.Timings = r.finish()
	return res, nil
}

// freshVariable carries Job.Fresh into the container. Nothing reads it.
const freshVariable = "LLCUDA_FRESH"

// source is the tree without what does not belong to it. The engine knows a
// tree by its content: the same files again are no change.
func (c *containerBuild) source(dir string) (*dagger.Directory, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	builds, err := source.BuildDirs(dir)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	exclude := []string{"**/.git"}
	for _, b := range builds {
		exclude = append(exclude, patternMeta.ReplaceAllString(b, `\$0`))
	}
	return c.client.Host().Directory(dir, dagger.HostDirectoryOpts{Exclude: exclude}), nil
}

var patternMeta = lazyregexp.New(`[*?\[\]\\!]`)

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
	t := &tail{}
	for _, stream := range []string{exec.Stdout, exec.Stderr} {
		for line := range strings.Lines(stream) {
			t.add(strings.TrimRight(line, "\r\n"))
		}
	}
	return nil, c.report.failed(s, exec.ExitCode, t)
}

// ccache gives the container a compiler cache: one volume for each platform,
// toolkit and image. The plan's own variables win.
func (c *containerBuild) ccache(ctr *dagger.Container) *dagger.Container {
	p := c.plan
	if p.Dirs.Cache == "" {
		return ctr
	}
	toolkit := p.Cell.Toolkit
	if toolkit == "" {
		toolkit = "cpu"
	}
	key := strings.Join([]string{"llcuda-ccache", p.Cell.Platform, toolkit, p.Image}, " ")
	for _, kv := range []string{
		"CCACHE_DIR=" + p.Dirs.Cache,
		"CCACHE_BASEDIR=" + p.Dirs.Build,
		"CCACHE_COMPILERCHECK=content",
		"CCACHE_NOHASHDIR=true",
	} {
		k, v, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(p.Env, func(have string) bool { return strings.HasPrefix(have, k+"=") }) {
			ctr = ctr.WithEnvVariable(k, v)
		}
	}
	return ctr.WithMountedCache(p.Dirs.Cache, c.client.CacheVolume(key))
}

package ci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
	"github.com/waqasm86/llcuda/internal/sibling"
	"github.com/waqasm86/llcuda/internal/source"
	"github.com/waqasm86/llcuda/matrix"
)

// EngineProgram is the name of the program that holds the Dagger builder and the
// registry client.
const EngineProgram = "llcuda-engine"

// DaggerOptions are what the Dagger builder takes from its caller.
type DaggerOptions struct {
	// Program is llcuda-engine, the file.
	Program string
	// Env is the caller's environment, and llcuda-engine's:
	// _EXPERIMENTAL_DAGGER_RUNNER_HOST of it is where the engine is.
	Env map[string]string
	// Stall is how long connecting may be silent; 0 is 2 minutes.
	Stall time.Duration
}

// engineGrace is how long llcuda-engine may take to end a session that it was
// told to leave; its own limit is 30 s.
const engineGrace = 40 * time.Second

// daggerBuilder runs a plan in llcuda-engine. A build has a child for itself: it
// stops with that child, and the others go on.
type daggerBuilder struct {
	options DaggerOptions

	mu    sync.Mutex
	spare *sibling.Conn
}

// NewDagger starts llcuda-engine and lets it connect to a Dagger engine; an
// *EngineError says that there is none. The builder lives no longer than ctx.
func NewDagger(ctx context.Context, o DaggerOptions) (Builder, error) {
	b := &daggerBuilder{options: o}
	conn, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	b.spare = conn
	return b, nil
}

// connect starts a child and waits until it has a session.
func (b *daggerBuilder) connect(ctx context.Context) (*sibling.Conn, error) {
	stall := b.options.Stall
	if stall == 0 {
		stall = 2 * time.Minute
	}
	conn, err := startEngine(ctx, b.options, wire.CommandBuild)
	if err == nil {
		err = conn.Send(wire.Connect{Stall: stall})
	}
	var e wire.Event
	if err == nil {
		e, err = hear(conn)
	}
	switch {
	case err == nil && e.Connected:
		return conn, nil
	case err == nil && e.Failed != nil:
		err = b.failure(*e.Failed)
	case err == nil:
		err = &sibling.StrangerError{Program: b.options.Program, Err: errors.New("it does not say whether it is connected")}
	}
	if conn != nil {
		conn.Close()
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("connecting to the Dagger engine: %w", ctx.Err())
	}
	return nil, err
}

func startEngine(ctx context.Context, o DaggerOptions, command string) (*sibling.Conn, error) {
	env := make([]string, 0, len(o.Env))
	for k, v := range o.Env {
		env = append(env, k+"="+v)
	}
	return sibling.Start(ctx, sibling.Options{Program: o.Program, Args: []string{command}, Env: env, Grace: engineGrace})
}

// hear is the next event; that there is none is an error.
func hear(conn *sibling.Conn) (e wire.Event, err error) {
	if err = conn.Receive(&e); errors.Is(err, io.EOF) {
		err = conn.Died()
	}
	return e, err
}

// Close ends the child that no build took. Builds have ended theirs.
func (b *daggerBuilder) Close() error {
	if conn := b.takeSpare(); conn != nil {
		conn.Close()
	}
	return nil
}

func (b *daggerBuilder) takeSpare() *sibling.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	conn := b.spare
	b.spare = nil
	return conn
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
	job, err := engineJob(p, o.SourceDir, st)
	if err != nil {
		return res, err
	}
	job.Fresh = o.Fresh

	r := newReport(p.Cell.ID, o)
	r.begin("connect")
	conn := b.takeSpare()
	if conn == nil {
		if conn, err = b.connect(ctx); err != nil {
			return res, err
		}
	}
	// The child ends before the staging folder does: what it would still write
	// has nowhere to go.
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.HangUp)()
	done, err := b.follow(conn, job, r)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("step %s: %w", r.current(), ctx.Err())
		}
		return res, err
	}
	if err := ctx.Err(); err != nil {
		return res, err
	}
	res = Result{Dir: st.outDir, ImageRef: p.Image, ImageDigest: done.ImageDigest, Witness: done.Witness, Reuse: done.Reuse, Random: done.Random}
	if p.ToolsFile != "" {
		if res.Tools, err = parseTools(done.Tools); err != nil {
			return res, fmt.Errorf("reading which tools built it: %w", err)
		}
	}
	if err := st.finish(st.out()); err != nil {
		return res, err
	}
	res.Timings = r.finish()
	return res, nil
}

// follow tells the child what to build and reports what it says until it is done.
func (b *daggerBuilder) follow(conn *sibling.Conn, job wire.Build, r *report) (wire.Done, error) {
	if err := conn.Send(job); err != nil {
		return wire.Done{}, err
	}
	for {
		e, err := hear(conn)
		if err != nil {
			return wire.Done{}, err
		}
		switch {
		case e.Begin != nil:
			r.begin(e.Begin.Step, e.Begin.Args...)
		case e.Line != nil:
			r.lineOf(e.Line.Step, e.Line.Text)
		case e.Note != nil:
			r.note(*e.Note)
		case e.Done != nil:
			return *e.Done, nil
		case e.Failed != nil && e.Failed.Kind == wire.KindStep:
			// The live log may lag; the error holds the end of each stream.
			t := &tail{}
			for _, line := range e.Failed.Output {
				t.add(line)
			}
			return wire.Done{}, r.failed(matrix.Step{Name: e.Failed.Step}, e.Failed.ExitCode, t)
		case e.Failed != nil:
			return wire.Done{}, b.failure(*e.Failed)
		}
	}
}

// failure is the error that the child meant.
func (b *daggerBuilder) failure(f wire.Failed) error {
	inner := errors.New(f.Text)
	switch f.Kind {
	case wire.KindEngine:
		return &EngineError{Host: f.Host, Err: inner}
	case wire.KindImage:
		return &ImageError{Image: f.Image, Err: inner}
	}
	return inner
}

// engineJob is what the child is told. The engine knows a tree by its content: the
// same files again are no change. What does not belong to the tree stays out.
func engineJob(p matrix.Plan, dir string, st *staging) (wire.Build, error) {
	job := wire.Build{Plan: p, Dirs: p.Dirs, ToolsFile: p.ToolsFile, WitnessFile: p.WitnessFile, Out: st.out(), Exclude: []string{"**/.git"}}
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return job, fmt.Errorf("source: %w", err)
	}
	builds, err := source.BuildDirs(dir)
	if err != nil {
		return job, fmt.Errorf("source: %w", err)
	}
	for _, b := range builds {
		job.Exclude = append(job.Exclude, patternMeta.ReplaceAllString(b, `\$0`))
	}
	job.Source = dir
	return job, nil
}

var patternMeta = lazyregexp.New(`[*?\[\]\\!]`)

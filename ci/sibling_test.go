package ci_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/ci/engine"
	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/internal/sibling"
	"github.com/waqasm86/llcuda/matrix"
)

// engineEnv makes the test binary an llcuda-engine: "dagger" is the real one,
// "host" has steps run on this machine in place of containers, the others are ill.
const engineEnv = "LLCUDA_CI_TEST_ENGINE"

// asEngine are the options that make the test binary llcuda-engine.
func asEngine(which string) ci.DaggerOptions {
	env := map[string]string{engineEnv: which}
	for _, kv := range os.Environ() {
		if k, v, _ := strings.Cut(kv, "="); k != childEnv && k != engineEnv {
			env[k] = v
		}
	}
	return ci.DaggerOptions{Program: os.Args[0], Env: env}
}

func llcudaEngine(which string) int {
	ctx, in, out := context.Background(), os.Stdin, os.Stdout
	env := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	var err error
	switch which {
	case "dagger":
		err = engine.Run(ctx, os.Args[1:], env, in, out)
	default:
		var peer *sibling.Peer
		if ctx, peer, err = sibling.Accept(ctx, "llcuda-engine", in, out); err == nil {
			err = engine.Serve(ctx, peer, func(context.Context, wire.Connect) (engine.Session, error) { return onThisHost{which}, nil })
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// onThisHost builds as a container engine would, with the host builder.
type onThisHost struct{ which string }

func (h onThisHost) Close() {}

func (h onThisHost) Build(ctx context.Context, b wire.Build, tell engine.Tell) (wire.Done, error) {
	if h.which == "dies" {
		fmt.Fprintln(os.Stderr, "panic: at the disco")
		os.Exit(9)
	}
	builder, err := ci.NewHost(ci.HostOptions{Env: map[string]string{"PATH": os.Getenv("PATH")}})
	if err != nil {
		return wire.Done{}, err
	}
	var log bytes.Buffer
	inner := filepath.Join(filepath.Dir(b.Out), "inner")
	res, err := builder.Build(ctx, b.Plan, ci.Job{SourceDir: b.Source, OutDir: inner, Log: &log, Progress: func(e ci.Event) {
		if e.Line == "" {
			tell(wire.Event{Begin: &wire.Begin{Step: e.Step}})
			return
		}
		tell(wire.Event{Line: &wire.Line{Step: e.Step, Text: e.Line}})
	}})
	var failed *ci.StepError
	if errors.As(err, &failed) {
		return wire.Done{}, &engine.Error{Failed: wire.Failed{Kind: wire.KindStep, Step: failed.Step, ExitCode: failed.ExitCode, Output: failed.Tail}}
	}
	if err != nil {
		return wire.Done{}, err
	}
	done := wire.Done{ImageDigest: "sha256:0", Witness: res.Witness}
	for _, k := range slices.Sorted(maps.Keys(res.Tools)) {
		done.Tools += k + "=" + res.Tools[k] + "\n"
	}
	return done, os.Rename(inner, b.Out)
}

// siblingDirs are where onThisHost's builds work: beside the output, in the staging
// folder that the other half made.
func siblingDirs(source, outDir string) matrix.Dirs {
	staging := filepath.Join(filepath.Dir(outDir), ".llcuda-staging-"+filepath.Base(outDir))
	return ci.HostDirs(source, filepath.Join(staging, "inner"), filepath.Join(filepath.Dir(source), "ccache"))
}

func siblingSuite(which string) suite {
	return suite{
		hold: 1, dirs: siblingDirs, engine: which,
		builder: func(t *testing.T) ci.Builder {
			b, err := ci.NewDagger(t.Context(), asEngine(which))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		},
	}
}

func TestBuilderThroughLlcudaEngine(t *testing.T) { conformance(t, siblingSuite("host")) }

func TestBuilderThroughLlcudaEngineAndSignals(t *testing.T) { signals(t, siblingSuite("host")) }

func TestAnLlcudaEngineThatDiesIsSaidWithItsLastWords(t *testing.T) {
	s := siblingSuite("dies")
	b := s.bench(t, "dies")
	_, err := s.builder(t).Build(t.Context(), b.plan(`echo x >"$3/x"`), b.job())
	var died *sibling.DiedError
	if !errors.As(err, &died) || !strings.Contains(died.Said, "at the disco") || !strings.Contains(err.Error(), "exit status 9") {
		t.Errorf("error %v", err)
	}
	b.nothingBut(t)
}

func TestWithoutLlcudaEngineTheCureIsSaid(t *testing.T) {
	o := asEngine("host")
	o.Program = filepath.Join(t.TempDir(), "llcuda-engine")
	_, err := ci.NewDagger(t.Context(), o)
	var missing *sibling.MissingError
	if !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "make build") || !strings.Contains(err.Error(), o.Program) {
		t.Errorf("error %T %v", err, err)
	}
	if err := ci.Digests(t.Context(), o, []string{"debian:bullseye-slim"}, "linux/amd64", nil); !errors.As(err, &missing) {
		t.Errorf("error %T %v", err, err)
	}
}

func TestDigestsNameEachImageThatHasNone(t *testing.T) {
	// Names that no registry is asked for: they are wrong.
	images := []string{"127.0.0.1:1/UPPER:x", "127.0.0.1:1/a//b:x"}
	err := ci.Digests(t.Context(), asEngine("dagger"), images, "linux/amd64", func(image, digest string) { t.Errorf("%s is %s", image, digest) })
	for _, image := range images {
		if err == nil || !strings.Contains(err.Error(), image) {
			t.Errorf("%q is not in the error %v", image, err)
		}
	}
	var none *ci.DigestError
	if !errors.As(err, &none) || !strings.Contains(none.Hint(), "the lock is left as it was") {
		t.Errorf("error %v", err)
	}
}

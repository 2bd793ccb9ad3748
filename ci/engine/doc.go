// Package engine is what llcuda-engine does: it runs a plan's steps in containers
// of a Dagger engine, and asks image registries for digests. It is told by
// llcuda-build, over pipes (packages ci, which is the other half, and sibling), and
// says what happens.
//
// It is a program of its own because what it needs is heavy: the Dagger SDK, gRPC
// and the registry client cost more at start than `llcuda-build inspect` takes.
// This package is the only importer of dagger.io/dagger.
//
// It decides nothing: the folders, the plan and what to leave out are given to it,
// and the finished folder gets its name from the other half. When its input ends,
// it ends its session, and with it what runs in the engine.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/internal/registry"
	"github.com/waqasm86/llcuda/internal/sibling"
)

// envRunnerHost names the engine's address.
const envRunnerHost = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"

// program is the name that it gives itself.
const program = "llcuda-engine"

// UsageError says that a person called it.
type UsageError struct{}

func (UsageError) Error() string {
	return "this is the half of llcuda-build that speaks with container engines and registries; llcuda-build starts it"
}

// Hint says what to call.
func (UsageError) Hint() string { return "llcuda-build --help" }

// ExitCode is that of a wrong command line.
func (UsageError) ExitCode() int { return 2 }

// Run is the whole program but for the process around it. What goes wrong with the
// work is said to llcuda-build; the error is for who speaks to it wrongly.
func Run(ctx context.Context, args []string, env map[string]string, in io.Reader, out io.Writer) error {
	command := strings.Join(args, " ")
	if command != wire.CommandBuild && command != wire.CommandDigest {
		return UsageError{}
	}
	ctx, peer, err := sibling.Accept(ctx, program, in, out)
	if err != nil {
		return err
	}
	if command == wire.CommandDigest {
		return digests(ctx, peer)
	}
	return Serve(ctx, peer, func(ctx context.Context, o wire.Connect) (Session, error) {
		return connect(ctx, env[envRunnerHost], o.Stall)
	})
}

// Session is one connection to something that builds.
type Session interface {
	// Build runs the plan, tells of it, and leaves the finished folder at b.Out.
	Build(ctx context.Context, b wire.Build, tell Tell) (wire.Done, error)
	// Close ends the session and what still runs in it.
	Close()
}

// Tell sends news of a build. It may be called by several goroutines.
type Tell func(wire.Event)

// Serve does one build for the parent: connect, build, done.
func Serve(ctx context.Context, peer *sibling.Peer, connect func(context.Context, wire.Connect) (Session, error)) error {
	var first wire.Connect
	if err := peer.Receive(&first); err != nil {
		return fmt.Errorf("hearing what to do: %w", err)
	}
	s, err := connect(ctx, first)
	if err != nil {
		return peer.Send(wire.Event{Failed: failed(err)})
	}
	if err := peer.Send(wire.Event{Connected: true}); err != nil {
		s.Close()
		return err
	}
	var job wire.Build
	if err := peer.Receive(&job); err != nil {
		s.Close()
		if errors.Is(err, io.EOF) {
			return nil // a session that nobody needed
		}
		return fmt.Errorf("hearing what to build: %w", err)
	}
	job.Plan.Dirs, job.Plan.ToolsFile, job.Plan.WitnessFile = job.Dirs, job.ToolsFile, job.WitnessFile
	done, err := s.Build(ctx, job, func(e wire.Event) { _ = peer.Send(e) }) // a parent that is gone hears nothing
	// The answer is the last word: the session is over by then.
	s.Close()
	if err != nil {
		return peer.Send(wire.Event{Failed: failed(err)})
	}
	return peer.Send(wire.Event{Done: &done})
}

// digests asks the registries for every image.
func digests(ctx context.Context, peer *sibling.Peer) error {
	var job wire.Digests
	if err := peer.Receive(&job); err != nil {
		return fmt.Errorf("hearing what to ask for: %w", err)
	}
	for _, image := range job.Images {
		e := wire.Event{}
		digest, err := registry.Digest(ctx, image, job.Platform, registry.Options{})
		if err != nil {
			e.Failed = failed(err)
			e.Failed.Image = image
		} else {
			e.Digest = &wire.Digest{Image: image, Digest: digest}
		}
		if err := peer.Send(e); err != nil {
			return err
		}
	}
	return nil
}

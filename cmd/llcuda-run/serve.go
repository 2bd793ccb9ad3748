//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/models"
	"github.com/waqasm86/llcuda/internal/serve"
)

type serveOptions struct {
	proofOptions
	model string
	host  string
	port  int
	args  []string
	// restart is the policy as it was typed.
	restart string
}

func newServe(s *cli.Streams, readHost hostReader) *cobra.Command {
	var o serveOptions
	o.readHost = readHost
	c := &cobra.Command{
		Use:   "serve MODEL [-- llama-server flags]",
		Short: "choose, install, start, and stay in front until stopped",
		Long: `Chooses the bundle that runs on this machine, installs it where it is not
installed yet, proves it once on every GPU (see selftest), starts its llama-server
with MODEL, waits until it answers, prints its URL on stdout and stays in front.
Signals are passed on; SIGTERM ends it with 0.

A bundle that fails its proof makes place for the next one that fits, and both
reasons are told. --bundle names the one to try first.

MODEL is the path of a .gguf file, OWNER/REPO:FILE.gguf or OWNER/REPO:QUANT at
Hugging Face, a short name (llcuda-run models lists them), an address, or tiny: a
random model of our own to try things with. Everything after -- goes to
llama-server untouched; where it sets -m, --host or --port it wins.`,
		Args: func(cmd *cobra.Command, args []string) error {
			own := args
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				own = args[:dash]
			}
			if len(own) != 1 {
				return fmt.Errorf("serve takes one MODEL, then -- and llama-server's flags; got %q", own)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.model, o.args = args[0], args[1:]
			o.fill(s)
			return terminated(cmd.Context(), runServe(cmd.Context(), s, o))
		},
	}
	o.flags(c.Flags())
	o.settle(c.Flags())
	c.Flags().BoolVar(&o.unproved, "no-proof", false, "UNSAFE: serve with a bundle that nobody has seen run on this GPU and driver")
	c.Flags().StringVar(&o.restart, "restart", "no", "start a server again that died after it had served: `no | on-failure[:N]`, N times (5), with pauses")
	c.Flags().StringVar(&o.host, "host", serve.DefaultHost, "the `ADDRESS` to listen on")
	c.Flags().IntVar(&o.port, "port", 8080, "the `PORT` to listen on; 0 takes a free one")
	return c
}

// runServe is the whole job: model → choice → installed bundle → running server.
func runServe(ctx context.Context, s *cli.Streams, o serveOptions) error {
	restart, err := serve.ParseRestart(o.restart)
	if err != nil {
		return cli.Usagef("--restart: %v", err)
	}
	st, err := openStore(s)
	if err != nil {
		return err
	}
	model, err := models.Resolve(ctx, o.model, modelOptions(s, st, o.pickOptions, false))
	if err != nil {
		return err
	}
	args := serve.ParseArguments(o.args, model.Path, o.host, o.port, nil)
	switch {
	case args.Answers != "": // no model will run
		o.unproved = true
	case args.CPU != "": // whoever keeps the model off the GPU need not wait for it
		o.unproved, o.because = true, args.CPU
	case o.unproved:
		o.because = "--no-proof"
	}
	got, _, err := settle(ctx, s, st, o.proofOptions)
	if err != nil {
		return err
	}
	defer func() { _ = got.release() }()

	so := got.server(s, o.pickOptions)
	so.Model, so.Args, so.Host, so.Port, so.Stdout = model.Path, o.args, o.host, o.port, s.Out
	// What --help and --version print is the answer that was asked for.
	if o.verbose || args.Answers != "" {
		so.Stderr = s.Err
	}
	// Whoever reads our output may go away first, as tee does at the terminal's
	// Ctrl-C: a write to nobody must not end us, and the server with us.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	address := ""
	for {
		server, err := serve.Start(ctx, so)
		if err != nil {
			if got.record != nil && againstProof(err) {
				_ = proofs(st).Forget(got.id) // the next start proves it again
			}
			if !o.verbose {
				writeTail(s, err)
			}
			return interrupted(ctx, err)
		}
		began := time.Now()
		for _, w := range server.Warnings() {
			note(s, "warning: %s", w)
		}
		note(s, "%s is ready, %s", model.Name, server.Backends())
		if server.URL() != address {
			address = server.URL()
			fmt.Fprintln(s.Out, address)
		}
		err = follow(ctx, s, server)
		if err != nil && !o.verbose {
			writeTail(s, err)
		}
		pause, again := restart.Next(err, time.Since(began))
		if !again || ctx.Err() != nil {
			return err
		}
		note(s, "%v; starting it again in %v (--restart %s)", err, pause, o.restart)
		so.Port = portOf(address, so.Port)
		if !wait(ctx, pause) {
			return interrupted(ctx, context.Cause(ctx))
		}
	}
}

// portOf is the port of a server's URL, so that the next one has the same.
func portOf(address string, otherwise int) int {
	if u, err := url.Parse(address); err == nil {
		if n, err := strconv.Atoi(u.Port()); err == nil {
			return n
		}
	}
	return otherwise
}

// wait is false where ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// againstProof says that a start failed as no proved bundle should.
func againstProof(err error) bool {
	var died *serve.DiedError
	var onCPU *serve.CPUError
	return errors.As(err, &onCPU) || errors.As(err, &died) && died.Cause.CUDAError != 0 && died.Cause.Code != serve.CodeOutOfGPUMemory
}

// writeTail prints the last lines of a server that died, which nobody saw.
func writeTail(s *cli.Streams, err error) {
	var died *serve.DiedError
	if !errors.As(err, &died) {
		return
	}
	const most = 12
	tail := died.Tail
	if len(tail) > most {
		tail = tail[len(tail)-most:]
	}
	for _, line := range tail {
		fmt.Fprintln(s.Err, "llama-server:", line)
	}
}

// follow stays with a running server: signals are passed on, and its end is ours.
func follow(ctx context.Context, s *cli.Streams, server *serve.Server) error {
	hangup, again := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	asked := ctx.Done()
	for {
		select {
		case <-asked:
			// The first SIGINT or SIGTERM ended ctx and nothing listens any
			// more: from here on every further one is a demand for haste.
			asked = nil
			signal.Notify(again, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(again)
			server.Signal(signalOf(context.Cause(ctx)))
			note(s, "stopping; what is streaming may finish, once more stops at once")
		case sig := <-again:
			server.Signal(sig)
		case sig := <-hangup:
			server.Signal(sig)
		case <-server.Done():
			if err := server.Wait(); err != nil {
				return err
			}
			if ctx.Err() != nil && signalOf(context.Cause(ctx)) == syscall.SIGINT {
				return context.Canceled
			}
			return nil
		}
	}
}

// signalOf is the signal behind a cause; SIGTERM where there is none.
func signalOf(cause error) syscall.Signal {
	var s *cli.Signalled
	if errors.As(cause, &s) {
		if n, ok := s.Signal.(syscall.Signal); ok {
			return n
		}
	}
	return syscall.SIGTERM
}

// interrupted is nil where SIGTERM ended the start of a server.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && signalOf(context.Cause(ctx)) == syscall.SIGTERM && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// terminated is nil where SIGTERM, and nothing else, ended the work.
func terminated(ctx context.Context, err error) error {
	var by *cli.Signalled
	if errors.As(context.Cause(ctx), &by) && by.Signal == syscall.SIGTERM {
		return interrupted(ctx, err)
	}
	return err
}

// libDirs are the folders of the host's libraries that the loader would not find
// by itself, in their order; each once.
func libDirs(libs []facts.HostLib) []string {
	var dirs []string
	for _, l := range libs {
		if dir := filepath.Dir(l.Path); l.DirNeeded && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// remaining are the visible GPUs but the hidden ones, as the driver names them;
// nil where nothing is hidden.
func remaining(h facts.Host, hide []int) []string {
	if len(hide) == 0 {
		return nil
	}
	keep := []string{}
	for _, g := range h.GPUs {
		if g.Visible && !slices.Contains(hide, g.Index) {
			keep = append(keep, gpuName(g))
		}
	}
	return keep
}

// gpuName is a GPU's name in CUDA_VISIBLE_DEVICES.
func gpuName(g facts.GPU) string {
	if strings.HasPrefix(g.UUID, "GPU-") || strings.HasPrefix(g.UUID, "MIG-") {
		return g.UUID
	}
	return strconv.Itoa(g.Index)
}

//go:build linux && amd64

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
)

type whyOptions struct {
	releaseOptions
	path      string
	factsFile string
	simulate  compat.Simulate
	cpu       bool
	json      bool
}

func newWhy(s *cli.Streams, readHost hostReader) *cobra.Command {
	var o whyOptions
	o.readHost = readHost
	c := &cobra.Command{
		Use:   "why [FILE|DIR]",
		Short: "which bundle would be chosen and why, or what a foreign CUDA file needs",
		Long: `Without an argument: the choice among the bundles of a release, with the reasons
for every one of them. With a FILE or DIR (any llama.cpp, wheel or library): what
it holds, judged the same way.

By default for this machine. --facts replays another one from its
"llcuda-run doctor --json"; --driver, --sm and --glibc describe one, or change
what --facts says. With any of these nothing on this machine is read.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.path = args[0]
			}
			o.fill(s)
			return runWhy(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	o.flags(f)
	f.StringVar(&o.factsFile, "facts", "", "the host in `FILE` (a doctor report) in place of this one")
	f.StringVar(&o.simulate.Driver, "driver", "", "a host with driver `VERSION`, as 535.104.05")
	f.StringArrayVar(&o.simulate.SMs, "sm", nil, "a host with GPUs of compute capability `N[,N]`, as 75 or 61,86")
	f.StringVar(&o.simulate.Glibc, "glibc", "", "a host with glibc `VERSION`, as 2.31")
	f.BoolVar(&o.cpu, "cpu", false, "ask for the bundle without GPU code")
	f.BoolVar(&o.json, "json", false, "print the answer as JSON (schema 1)")
	return c
}

func runWhy(ctx context.Context, s *cli.Streams, o whyOptions) error {
	h, err := hostOf(ctx, o)
	if err != nil {
		return err
	}
	answer := facts.Why{Schema: facts.Schema, Host: h}
	usable := false
	if o.path != "" {
		c, err := judgeForeign(o.path, h)
		if err != nil {
			return err
		}
		answer.Candidates = []facts.Candidate{c}
		usable = c.Verdict != facts.VerdictRefused && c.Verdict != facts.VerdictUnknown
	} else {
		st, err := openStore(s)
		if err != nil {
			return err
		}
		r, err := openRelease(ctx, s, st, o.releaseOptions)
		if err != nil {
			return err
		}
		// A bundle made from the fixture is judged and never installed; why is
		// where it may stand for a release.
		co := compat.ChooseOptions{CPU: o.cpu, Fixture: true}
		if o.here() { // what is installed here says nothing about another machine
			co.Installed, co.HostFiles = installedParts(st), hostFiles(st, r.manifest, h, false)
		}
		d := compat.Decide(r.manifest, h, co)
		answer.Choice, answer.Proposal, answer.Explanation, answer.Candidates = d.Choice, d.Proposal, d.Explanation, d.Candidates
		usable = answer.Choice != nil
	}
	if o.json {
		err = s.PrintJSON(answer)
	} else {
		writeWhy(s, answer, o.path != "")
	}
	if err == nil && !usable {
		return &silentError{cli.ExitNoBundle}
	}
	return err
}

func writeWhy(s *cli.Streams, a facts.Why, foreign bool) {
	if !foreign {
		writeChoice(s.Out, a.Choice, a.Explanation)
	}
	writeCandidates(s.Out, inkFor(s, s.Out), a.Choice, a.Candidates)
}

// silentError is a result that was printed already; only its exit code is left.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit %d", e.code) }
func (e *silentError) ExitCode() int { return e.code }
func (e *silentError) Silent() bool  { return true }

func (o whyOptions) simulated() bool {
	return o.simulate.Driver != "" || len(o.simulate.SMs) > 0 || o.simulate.Glibc != ""
}

// here says that the question is about this machine.
func (o whyOptions) here() bool { return o.factsFile == "" && !o.simulated() }

// hostOf is the host that the question is about.
func hostOf(ctx context.Context, o whyOptions) (facts.Host, error) {
	simulated := o.simulated()
	if o.factsFile != "" {
		h, err := readFacts(o.factsFile)
		if err != nil || !simulated {
			return h, err
		}
		o.simulate.Base = &h
	}
	if !simulated {
		return o.readHost.read(ctx)
	}
	return compat.SimulatedHost(o.simulate)
}

// readFacts reads a doctor report, a why document or a bare host.
func readFacts(file string) (facts.Host, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return facts.Host{}, err
	}
	var doc struct {
		Schema *int        `json:"schema"`
		Host   *facts.Host `json:"host"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return facts.Host{}, &cli.Error{Err: fmt.Errorf("%s: %w", file, err), Code: cli.ExitUsage,
			Cure: "give the output of llcuda-run doctor --json"}
	}
	if doc.Schema != nil && *doc.Schema != facts.Schema {
		return facts.Host{}, &cli.Error{Err: fmt.Errorf("%s has schema %d, this program knows %d", file, *doc.Schema, facts.Schema),
			Code: cli.ExitUsage, Cure: "update llcuda-run"}
	}
	if doc.Host != nil {
		return *doc.Host, nil
	}
	var h facts.Host
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("%s: %w", file, err)
	}
	if h.Platform == "" && h.Driver == nil && h.GPUs == nil {
		return h, &cli.Error{Err: fmt.Errorf("%s is neither a doctor report nor a host", file), Code: cli.ExitUsage,
			Cure: "give the output of llcuda-run doctor --json"}
	}
	return h, nil
}

// judgeForeign is the verdict on a file or folder that is not ours.
func judgeForeign(path string, h facts.Host) (facts.Candidate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return facts.Candidate{}, err
	}
	report := facts.Report{}
	if info.IsDir() {
		report, err = inspect.Dir(path)
	} else {
		var f facts.File
		f, err = inspect.File(path)
		report.Files = []facts.File{f}
	}
	if err != nil {
		return facts.Candidate{}, err
	}
	c := compat.Judge(compat.ForFiles(path, report.Files), h)
	if c.Verdict == facts.VerdictCPU && !slices.ContainsFunc(report.Files, func(f facts.File) bool { return f.ELF != nil }) {
		what := " is neither an ELF file nor a CUDA file"
		if info.IsDir() {
			what = " holds neither ELF files nor CUDA files"
		}
		return c, &cli.Error{Err: errors.New(path + what), Code: cli.ExitUsage}
	}
	return c, nil
}

//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/prove"
	"github.com/waqasm86/llcuda/internal/store"
)

func newSelftest(s *cli.Streams, readHost hostReader) *cobra.Command {
	var o proofOptions
	o.readHost = readHost
	c := &cobra.Command{
		Use:   "selftest",
		Short: "prove on every GPU that the bundle for this machine runs there, and runs right",
		Long: `Chooses and installs as serve does, then proves: the bundle's own llama-server
loads a small built-in model and answers once on every visible GPU, each in a
server of its own that sees that GPU alone. Every layer must lie on the GPU and
the log-probabilities must be the CPU's. Where the bundle was judged native the
driver is forbidden to compile (CUDA_DISABLE_PTX_JIT=1 CUDA_CACHE_DISABLE=1).

A bundle that fails makes place for the next one that fits. --bundle names one to
prove, and nothing takes its place: also one that is judged not to run here, to
see it fail. Exit code 0: the bundle that serve will use is proved; 5: none is.

What passed is remembered, for these bytes on this driver and these GPUs; serve
proves what is not remembered. selftest always proves again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fill(s)
			o.again = true
			o.noFallback = o.noFallback || o.bundle != ""
			return runSelftest(cmd.Context(), s, o)
		},
	}
	o.flags(c.Flags())
	c.Flags().Lookup("bundle").Usage = "prove this `BUNDLE` of the release and no other, also where it is judged not to run here"
	c.Flags().BoolVar(&o.json, "json", false, "print the report as JSON (schema 1)")
	return c
}

// selftest is the document of `llcuda-run selftest --json`.
type selftest struct {
	Schema  int        `json:"schema"`
	Release string     `json:"release"`
	Host    facts.Host `json:"host"`
	// Bundle passed, "" where none did.
	Bundle string `json:"bundle"`
	// Proofs are all that were made, in their order.
	Proofs []selftestProof `json:"proofs"`
}

type selftestProof struct {
	Bundle   string    `json:"bundle"`
	Verdict  string    `json:"verdict"`
	Runtime  string    `json:"runtime,omitempty"`
	Contents string    `json:"contents"`
	Time     time.Time `json:"time"`
	prove.Report
	// Files is what the installed files themselves say against running here, where
	// the manifest said otherwise.
	Files []facts.Reason `json:"files,omitempty"`
}

func runSelftest(ctx context.Context, s *cli.Streams, o proofOptions) error {
	st, err := openStore(s)
	if err != nil {
		return err
	}
	got, tried, failed := settle(ctx, s, st, o)
	if failed == nil {
		defer func() { _ = got.release() }()
	}
	if len(tried) == 0 {
		return failed
	}
	if o.json {
		return errors.Join(s.PrintJSON(reportOf(got, tried)), failed)
	}
	for _, a := range tried {
		writeProof(s, a)
	}
	return failed
}

func reportOf(got settled, tried []attempt) selftest {
	first := tried[0].scene
	doc := selftest{Schema: facts.Schema, Release: first.release.manifest.Release, Host: first.host, Bundle: got.bundle.ID}
	for _, a := range tried {
		doc.Proofs = append(doc.Proofs, selftestProof{Bundle: a.bundle.ID, Verdict: a.verdict, Runtime: a.choice.Runtime,
			Contents: first.release.manifest.Parts[a.bundle.App].Contents, Time: a.time, Report: a.report, Files: a.files})
	}
	return doc
}

// writeProof prints what a proof saw, a few lines a GPU.
func writeProof(s *cli.Streams, a attempt) {
	result := "failed"
	if a.report.Passed {
		result = "proved"
	}
	how := ""
	if a.report.Native {
		how = ", the driver's compiler forbidden"
	}
	fmt.Fprintf(s.Out, "%s  %s (judged %s%s), in %.1f s\n", inkFor(s, s.Out).of(result, result), a.bundle.ID, a.verdict, how, a.report.Seconds)
	for _, d := range a.report.Devices {
		line := func(format string, args ...any) {
			fmt.Fprintf(s.Out, "        %s\n", wrap(fmt.Sprintf(format, args...), columns-8, "        "))
		}
		fmt.Fprintf(s.Out, "      - %s\n", d.Title())
		if d.Layers > 0 && d.Used != "" {
			line("%d of %d layers on %s", d.Offloaded, d.Layers, d.Used)
		}
		if d.Compared > 0 {
			line("%d tokens compared, log-probabilities within %.3f (%.2f is allowed)", d.Compared, d.MaxDifference, a.report.Tolerance)
		}
		if d.PerSecond > 0 {
			line("%.0f tokens/s read, %.0f tokens/s written; ready after %.2f s", d.PromptPerSecond, d.PerSecond, d.Ready)
		}
		if f := d.Failure; f != nil {
			code := f.Code
			if f.CUDAError != 0 {
				code += fmt.Sprintf(", CUDA error %d", f.CUDAError)
			}
			line("%s [%s]", f.Text, code)
			if f.Fix != "" {
				line("→ %s", f.Fix)
			}
		}
	}
	for _, f := range a.files {
		fmt.Fprintf(s.Out, "      - %s\n", wrap(fmt.Sprintf("its files, read here: %s [%s]", f.Text, reasonCode(f)), columns-8, "        "))
	}
}

// provedHere are the proofs that hold for this machine as it is, newest first.
func provedHere(st *store.Store, h facts.Host) []facts.Proof {
	var list []facts.Proof
	here := machineOf(h)
	for _, r := range proofs(st).All() {
		id := r.Identity
		onCPU := len(id.GPUs) == 0
		if id.Version != prove.Version || !slices.Equal(id.CPU, here.CPU) || !onCPU && (id.Driver != here.Driver || !slices.Equal(id.GPUs, here.GPUs)) {
			continue
		}
		p := facts.Proof{Bundle: r.Bundle, Release: r.Release, Time: r.Time, Contents: id.Contents, Native: id.Native, GPUs: id.GPUs}
		for _, d := range r.Report.Devices {
			p.MaxDifference = max(p.MaxDifference, d.MaxDifference)
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b facts.Proof) int { return b.Time.Compare(a.Time) })
	return list
}

// writeProofs prints them below the host.
func writeProofs(w io.Writer, list []facts.Proof) {
	for _, p := range list {
		how, whose := "on the CPU", "right ones"
		switch {
		case p.Native:
			how, whose = "native", "the CPU's"
		case len(p.GPUs) > 0:
			how, whose = "with the driver's compiler", "the CPU's"
		}
		text := fmt.Sprintf("%s of release %s on %s, %s, log-probabilities within %.2f of %s", p.Bundle, p.Release, p.Time.Local().Format("2006-01-02 15:04"), how, p.MaxDifference, whose)
		fmt.Fprintf(w, "%-9s %s\n", "proved", wrap(text, columns-10, strings.Repeat(" ", 10)))
	}
}

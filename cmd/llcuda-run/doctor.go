//go:build linux && amd64

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/compat"
)

type doctorOptions struct {
	releaseOptions
	json bool
}

func newDoctor(s *cli.Streams, readHost hostReader) *cobra.Command {
	var o doctorOptions
	o.readHost = readHost
	c := &cobra.Command{
		Use:   "doctor",
		Short: "what is here, which bundle fits and why, what is wrong and what to type",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fill(s)
			return runDoctor(cmd.Context(), s, o)
		},
	}
	o.flags(c.Flags())
	c.Flags().BoolVar(&o.json, "json", false, "print the report as JSON (schema 1); why --facts replays it anywhere")
	return c
}

// runDoctor fails only where it cannot do its own work: what it finds wrong on
// the host is its result. Of the host it tells also where the release that it was
// asked about is not to be had; that is its error then.
func runDoctor(ctx context.Context, s *cli.Streams, o doctorOptions) error {
	h, err := o.readHost.read(ctx)
	if err != nil {
		return err
	}
	report := facts.Doctor{Schema: facts.Schema, Host: h, Candidates: []facts.Candidate{}}
	var failed error
	if o.from != "" {
		var d compat.Decision
		if d, failed = decideRelease(ctx, s, report.Host, o.releaseOptions); failed == nil {
			report.Choice, report.Proposal, report.Explanation, report.Candidates = d.Choice, d.Proposal, d.Explanation, d.Candidates
		}
	}
	report.Problems = problems(report)
	if st, err := openStore(s); err == nil { // what is remembered is told, what cannot be read is not asked for
		report.Proofs = provedHere(st, report.Host)
	}
	if o.json {
		return errors.Join(s.PrintJSON(report), failed)
	}
	paint := inkFor(s, s.Out)
	writeHost(s.Out, report.Host)
	writeProofs(s.Out, report.Proofs)
	switch {
	case failed != nil:
	case o.from == "":
		fmt.Fprintln(s.Out, "\nno release was asked: --from SOURCE judges its bundles on this host")
	default:
		fmt.Fprintln(s.Out)
		writeChoice(s.Out, report.Choice, report.Explanation)
		writeCandidates(s.Out, paint, report.Choice, report.Candidates)
	}
	for _, p := range report.Problems {
		fmt.Fprintf(s.Out, "\n%s %s\n", paint.of("problem", "!"), wrap(p.Text, columns-2, "  "))
		if p.Cure != "" {
			fmt.Fprintf(s.Out, "  → %s\n", wrap(p.Cure, columns-4, "    "))
		}
	}
	return failed
}

// decideRelease judges the bundles of a release on a host.
func decideRelease(ctx context.Context, s *cli.Streams, h facts.Host, o releaseOptions) (compat.Decision, error) {
	st, err := openStore(s)
	if err != nil {
		return compat.Decision{}, err
	}
	r, err := openRelease(ctx, s, st, o)
	if err != nil {
		return compat.Decision{}, err
	}
	return compat.Decide(r.manifest, h, compat.ChooseOptions{Fixture: true, Installed: installedParts(st), HostFiles: hostFiles(st, r.manifest, h, false)}), nil
}

// problems are what is wrong with the host itself and, where no bundle fits,
// what refuses them: a cure that several bundles share is told once.
func problems(d facts.Doctor) []facts.Problem {
	list := []facts.Problem{}
	told := map[string]bool{}
	for _, r := range compat.HostProblems(d.Host) {
		told[r.Text] = true
		list = append(list, facts.Problem{Code: r.Code, Text: r.Text, Cure: r.Fix})
	}
	if d.Choice != nil || len(list) > 0 && d.Host.Driver == nil {
		return list
	}
	at := map[string]int{}
	for _, c := range d.Candidates {
		for _, r := range c.Reasons {
			if r.Fix == "" || told[r.Text] || r.Code == facts.UnknownFact || strings.TrimSpace(r.Text) == "" {
				continue
			}
			key := r.Code + r.Fix
			if i, ok := at[key]; ok {
				list[i].Bundles = append(list[i].Bundles, c.Bundle)
				continue
			}
			at[key] = len(list)
			list = append(list, facts.Problem{Code: r.Code, Text: r.Text, Cure: r.Fix, Bundles: []string{c.Bundle}})
		}
	}
	for i, p := range list {
		if n := len(p.Bundles); n > 0 {
			list[i].Text = p.Bundles[0] + ": " + p.Text
			if others := p.Bundles[1:]; len(others) > 0 {
				list[i].Text += " So too: " + strings.Join(others, ", ") + "."
			}
		}
	}
	return list
}

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
	report := facts.Doctor{Schema: facts.Schema, Host: h, Candidates: []facts.Candidate{}, Problems: []facts.Problem{}}
	explanation := ""
	var failed error
	if o.from != "" {
		var d compat.Decision
		if d, failed = decideRelease(ctx, s, report.Host, o.releaseOptions); failed == nil {
			report.Choice, report.Candidates, explanation = d.Choice, d.Candidates, d.Explanation
		}
	}
	report.Problems = problems(report)
	if o.json {
		return errors.Join(s.PrintJSON(report), failed)
	}
	writeHost(s.Out, report.Host)
	switch {
	case failed != nil:
	case o.from == "":
		fmt.Fprintln(s.Out, "\nno release was asked: --from SOURCE judges its bundles on this host")
	default:
		fmt.Fprintln(s.Out)
		if report.Choice != nil || explanation == "" {
			fmt.Fprintln(s.Out, wrap(describeChoice(report.Choice), columns, ""))
		}
		if explanation != "" {
			fmt.Fprintln(s.Out, wrap(explanation, columns, ""))
		}
		fmt.Fprintln(s.Out)
		writeCandidates(s.Out, report.Choice, report.Candidates)
	}
	for _, p := range report.Problems {
		fmt.Fprintf(s.Out, "\n! %s\n", wrap(p.Text, columns-2, "  "))
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
	return compat.Decide(r.manifest, h, compat.ChooseOptions{Fixture: true}), nil
}

// problems are what is wrong with the host itself, and what refuses every bundle.
func problems(d facts.Doctor) []facts.Problem {
	list := []facts.Problem{}
	add := func(code, text, cure string) { list = append(list, facts.Problem{Code: code, Text: text, Cure: cure}) }
	h := d.Host
	for _, g := range h.GPUs {
		if g.Dropped {
			add(facts.GPUDropped, fmt.Sprintf("GPU %d (%s) is on the bus, but this driver does not support it any more", g.Index, g.Name),
				"install the last driver branch that does: 580 for Maxwell, Pascal and Volta, 470 for Kepler")
		}
	}
	if h.Driver == nil && len(h.GPUs) > 0 {
		add(facts.NoDriver, "there is an NVIDIA GPU and no driver", "install NVIDIA's driver, then run doctor again")
	}
	if drv := h.Driver; drv != nil && drv.Kernel != "" && drv.Libcuda != "" && drv.Kernel != drv.Libcuda && !drv.Compat {
		add(facts.DriverMismatch, fmt.Sprintf("the kernel module is %s and libcuda is %s: CUDA answers 803", drv.Kernel, drv.Libcuda),
			"finish the driver's upgrade: reboot, or load the new kernel module")
	}
	if d.Choice != nil {
		return list
	}
	seen := map[string]bool{}
	for _, c := range d.Candidates {
		for _, r := range c.Reasons {
			key := r.Code + r.Text
			if r.Fix == "" || seen[key] || r.Code == facts.UnknownFact || strings.TrimSpace(r.Text) == "" {
				continue
			}
			seen[key] = true
			add(r.Code, c.Bundle+": "+r.Text, r.Fix)
		}
	}
	return list
}

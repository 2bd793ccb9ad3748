package main

import (
	"context"
	"errors"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

// verifyCell holds the facts of a finished folder against its plan.
func verifyCell(_ context.Context, p matrix.Plan, r facts.Report) error {
	if misses := verify.Cell(p, r, verify.Options{MaxGlibc: p.Cell.Glibc}); len(misses) > 0 {
		return missesError(misses)
	}
	return nil
}

// newest is the higher of two versions.
func newest(a, b string) string {
	if inspect.Newer(b, a) {
		return b
	}
	return a
}

// missesError says each miss on a line of its own.
func missesError(misses []verify.Miss) error {
	errs := make([]error, len(misses))
	for i, m := range misses {
		errs[i] = &cli.Error{Err: errors.New(m.Text), Cure: m.Fix, Code: cli.ExitFailed}
	}
	return errors.Join(errs...)
}

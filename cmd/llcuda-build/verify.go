package main

import (
	"context"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/verify"
	"github.com/waqasm86/llcuda/matrix"
)

// verifyCell holds the facts of a finished folder against its plan, and against
// what cuobjdump said of the same files where they were built: "" for a cell
// without a toolkit. The second witness must be there in a container; on a host
// it is missed with a word.
func verifyCell(ctx context.Context, m *matrix.Matrix, p matrix.Plan, r facts.Report, witness string, warn func(string)) error {
	misses := promiseMisses(m, p, r)
	if p.WitnessFile != "" {
		answers, err := verify.ReadAnswers(witness)
		if err != nil {
			return err
		}
		more, err := secondWitness(ctx, answers, p, r, warn)
		if err != nil {
			return err
		}
		misses = append(misses, more...)
	}
	if len(misses) > 0 {
		return missesError(misses)
	}
	return nil
}

// promiseMisses holds facts against everything that the matrix promises of a cell.
func promiseMisses(m *matrix.Matrix, p matrix.Plan, r facts.Report) []verify.Miss {
	oldest := m.MinDriver(p.Cell.Toolkit)
	return append(verify.Cell(p, r, verify.Options{MaxGlibc: p.Cell.Glibc, MinDriver: oldest}),
		verify.Drivers(p, r, verify.Promise{MinDriver: oldest, MachineCode: m.HasMachineCode})...)
}

func secondWitness(ctx context.Context, answers *verify.Answers, p matrix.Plan, r facts.Report, warn func(string)) ([]verify.Miss, error) {
	if answers.Absent {
		if p.Image != matrix.BuilderHost {
			return []verify.Miss{{Code: verify.WitnessFailed, Text: "the image " + p.Image + " has no cuobjdump, the second witness",
				Fix: "add cuobjdump to the toolkit's packages in the matrix"}}, nil
		}
		warn("there is no cuobjdump on PATH: the files were read by one witness only")
		return nil, nil
	}
	var misses []verify.Miss
	for _, f := range r.Files {
		if f.ELF == nil || f.Link != "" {
			continue
		}
		found, _, err := verify.Ask(ctx, verify.Tool{Run: answers.Run, Version: answers.Version}, f.Path, f)
		if err != nil {
			return nil, err
		}
		misses = append(misses, found...)
	}
	return misses, nil
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
	all := make([]partMiss, len(misses))
	for i, m := range misses {
		all[i] = partMiss{Miss: m}
	}
	return partMissesError(all)
}

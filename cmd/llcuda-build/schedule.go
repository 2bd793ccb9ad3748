package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

// What a cell costs in seconds of CPU time, measured with llama.cpp of 2026-09 and
// nvcc 11.8. It only orders cells that were never timed in this --out.
const (
	cpuOnly   = 13 * 60.0        // no toolkit, all CPU variants
	firstSM   = (38 + 9) * 60.0  // one SM: ggml-cuda, and the executables
	furtherSM = 0.75 * 38 * 60.0 // five SMs took four times as long as one
)

// estimate is how many seconds a cell will take: the longest that it took here, else
// a guess by its SMs.
func estimate(c matrix.Cell, slowest float64, jobs int) float64 {
	n := len(c.SMs) + len(c.PTX)
	switch {
	case slowest > 0:
		return slowest
	case n == 0:
		return cpuOnly / float64(jobs)
	}
	return (firstSM + furtherSM*float64(n-1)) / float64(jobs)
}

// longestFirst orders cells so that the last to end is not the last to begin.
func longestFirst(cells []matrix.Cell, slowest map[string]float64, jobs int) []matrix.Cell {
	out := slices.Clone(cells)
	slices.SortStableFunc(out, func(a, b matrix.Cell) int {
		return cmp.Compare(estimate(b, slowest[b.ID], jobs), estimate(a, slowest[a.ID], jobs))
	})
	return out
}

// takenFromFirst puts cells that others take machine code from before all that take,
// and leaves the order as it is otherwise: three SMs after the same one by one cost
// three eighths of three from nothing (docs/performance.md), and one SM after the three
// still most of one.
func takenFromFirst(cells []matrix.Cell) []matrix.Cell {
	out := slices.Clone(cells)
	slices.SortStableFunc(out, func(a, b matrix.Cell) int { return cmp.Compare(takers(b, cells), takers(a, cells)) })
	return out
}

// takers is how many of cells, at most, stand one after the other above c, each with
// all SMs of the one before and more: cuda12.4-sm86, cuda12.4-ampere-ada, all of 12.4.
func takers(c matrix.Cell, cells []matrix.Cell) int {
	n := 0
	for _, d := range cells {
		if c.Toolkit != "" && d.Toolkit == c.Toolkit && d.Platform == c.Platform && len(d.SMs) > len(c.SMs) &&
			!slices.ContainsFunc(c.SMs, func(sm string) bool { return !slices.Contains(d.SMs, sm) }) {
			n = max(n, 1+takers(d, cells))
		}
	}
	return n
}

// share is how many cells build at once, and how many files of each.
type share struct {
	parallel, jobs int
	why            string
}

// defaultParallel cells at once: one links and packs while another compiles.
const defaultParallel = 2

// What one compilation may take at its peak. Seen while llama.cpp of 2026-09 was
// compiled: 0.52 GB of a child of nvcc 11.8 (one SM), 0.32 GB of a C++ compiler. Both
// are samples, not limits, and newer toolkits were not seen: there is room above them.
const (
	perNvcc = 2_000_000_000
	perCXX  = 700_000_000
)

// shareOut divides a machine's cores and memory among cells; jobs and parallel of 0
// are chosen here. It asks how much memory there is, not how much is free just now:
// the number of jobs is part of a step that an engine knows by its words.
func shareOut(cores int, memory int64, cuda bool, jobs, parallel int) share {
	per, what := int64(perCXX), "C++"
	if cuda {
		per, what = perNvcc, "CUDA"
	}
	s := share{parallel: parallel, jobs: jobs}
	room := cores * defaultParallel
	if memory > 0 {
		room = int(max(1, memory*8/10/per)) // a fifth is left to the rest of the machine
	}
	if s.parallel == 0 {
		s.parallel = min(defaultParallel, room)
		if jobs > 0 {
			s.parallel = min(defaultParallel, max(1, room/jobs))
		}
	}
	if s.jobs == 0 {
		s.jobs = max(1, min(cores, room/s.parallel))
	}
	have := "memory of unknown size"
	if memory > 0 {
		have = cli.Size(memory) + " of memory"
	}
	s.why = fmt.Sprintf("%d cells at once, %d files of each: %d cores, %s, %s for a %s file",
		s.parallel, s.jobs, cores, have, cli.Size(per), what)
	return s
}

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/matrix"
)

func TestCellsBeginLongestFirst(t *testing.T) {
	m, err := matrix.Load(matrix.DefaultName, matrix.Default())
	if err != nil {
		t.Fatal(err)
	}
	ids := func(cells []matrix.Cell) (all []string) {
		for _, c := range cells {
			all = append(all, c.ID)
		}
		return all
	}
	got := ids(longestFirst(m.Cells(), nil, 2))
	if got[0] != "cuda12.8-all" || got[1] != "cuda11.8-all" || got[len(got)-1] != "cpu" {
		t.Errorf("never timed: %q", got)
	}
	// What was measured here beats the guess.
	got = ids(longestFirst(m.Cells(), map[string]float64{"cpu": 1e6}, 2))
	if got[0] != "cpu" || got[1] != "cuda12.8-all" {
		t.Errorf("with a cell that took long: %q", got)
	}
	// Equal ones stay in the order they were named in.
	same := []matrix.Cell{{ID: "b", SMs: []string{"75"}}, {ID: "a", SMs: []string{"80"}}}
	if got := ids(takenFromFirst(longestFirst(same, nil, 2))); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("equal cells: %q", got)
	}
}

func TestCellsBeginAfterThoseTheyTakeFrom(t *testing.T) {
	m, err := matrix.Load(matrix.DefaultName, matrix.Default())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range takenFromFirst(longestFirst(m.Cells(), nil, 2)) {
		got = append(got, c.ID)
	}
	if slices.Index(got, "cuda12.8-all") < slices.Index(got, "cuda12.8-blackwell") || slices.Index(got, "cuda11.8-all") < slices.Index(got, "cuda11.8-legacy") {
		t.Errorf("the cells of the matrix: %q", got)
	}
	a := func(id, toolkit string, sms ...string) matrix.Cell {
		return matrix.Cell{ID: id, Toolkit: toolkit, SMs: sms}
	}
	cells := []matrix.Cell{
		a("all", "1", "75", "80", "86", "90"), a("pair", "1", "80", "86"), a("other", "1", "80", "100"), a("one", "1", "86"), a("two", "1", "75"),
		a("elsewhere", "2", "75", "80"), a("cpu", ""), a("twin", "1", "86"),
	}
	got = nil
	for _, c := range takenFromFirst(longestFirst(cells, nil, 2)) {
		got = append(got, c.ID)
	}
	// one and twin are in pair, which is in all; two is in all; other is in none.
	if want := []string{"one", "twin", "pair", "two", "all", "other", "elsewhere", "cpu"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheMachineIsSharedByCoresAndMemory(t *testing.T) {
	const GB = 1_000_000_000
	for _, c := range []struct {
		name              string
		cores             int
		memory            int64
		cuda              bool
		jobs, parallel    int
		wantCells, wantOf int
	}{
		{"two cores and plenty", 2, 24 * GB, true, 0, 0, 2, 2},
		{"many cores, little memory: memory decides", 64, 32 * GB, true, 0, 0, 2, 6},
		{"the same without nvcc", 64, 32 * GB, false, 0, 0, 2, 18},
		{"one compilation at a time", 8, 3 * GB, true, 0, 0, 1, 1},
		{"less than one: still one", 8, GB, true, 0, 0, 1, 1},
		{"memory unknown: by cores", 8, 0, true, 0, 0, 2, 8},
		{"jobs given", 64, 32 * GB, true, 10, 0, 1, 10},
		{"parallel given", 64, 32 * GB, true, 0, 4, 4, 3},
		{"both given: nobody is asked", 2, GB, true, 9, 5, 5, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := shareOut(c.cores, c.memory, c.cuda, c.jobs, c.parallel)
			if s.parallel != c.wantCells || s.jobs != c.wantOf {
				t.Errorf("%d cells of %d files, want %d of %d", s.parallel, s.jobs, c.wantCells, c.wantOf)
			}
			if !strings.Contains(s.why, "cores") || strings.Contains(s.why, "unknown") != (c.memory == 0) {
				t.Errorf("why: %s", s.why)
			}
		})
	}
}

func TestMemoryIsTheMachinesOrItsControlGroups(t *testing.T) {
	const meminfo = "MemTotal:       24670560 kB\nMemFree:         1000 kB\n"
	for _, c := range []struct {
		name   string
		info   string
		limits []string
		want   int64
	}{
		{"the machine's", meminfo, []string{"max\n", ""}, 24670560 << 10},
		{"a limit of version 2", meminfo, []string{"8589934592\n"}, 8 << 30},
		{"version 1 writes no limit as a number beyond any memory", meminfo, []string{"", "9223372036854771712\n"}, 24670560 << 10},
		{"a limit above the machine's is none", meminfo, []string{"1099511627776\n"}, 24670560 << 10},
		{"only the limit can be read", "", []string{"8589934592"}, 8 << 30},
		{"nothing can be read", "nonsense", []string{"0", "x"}, 0},
	} {
		if got := memoryOf(c.info, c.limits...); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

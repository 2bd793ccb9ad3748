package matrix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Promise is one line of what users may rely on: machine code for a compute
// capability.
type Promise struct {
	// CC is the compute capability, "7.5".
	CC string `json:"cc"`
	// Driver is the oldest driver.
	Driver string `json:"driver"`
	// Until is the last driver branch that supports the GPU ("580"); "" where
	// none is known.
	Until string `json:"until,omitempty"`
	// Glibc is the oldest glibc.
	Glibc string `json:"glibc"`
}

// Promise is the matrix's promise. Load has checked each line against the
// cells that are built by default.
func (m *Matrix) Promise() []Promise {
	out := make([]Promise, len(m.promises))
	for i, p := range m.promises {
		out[i] = Promise{CC: p.cc.S, Driver: p.driver.S, Until: p.until.S, Glibc: p.glibc.S}
	}
	return out
}

func (m *Matrix) checkPromises(w *walker) {
	seen := map[string]int{}
	for _, p := range m.promises {
		if p.cc.S != "" && !ccName.MatchString(p.cc.S) {
			w.fail(p.cc.Line, "%q is no compute capability; write 7.5", p.cc.S)
			continue
		}
		for _, v := range []text{p.driver, p.until, p.glibc} {
			if v.S != "" && !dotted.MatchString(v.S) {
				w.fail(v.Line, "promise for %s: %q is no version", p.cc.S, v.S)
			}
		}
		// Whole branches: one that has begun with the driver may be the last.
		until, _, _ := strings.Cut(p.until.S, ".")
		oldest, _, _ := strings.Cut(p.driver.S, ".")
		if until != "" && compareDotted(until, oldest) < 0 {
			w.fail(p.until.Line, "promise for %s: it ends with branch %s, before driver %s", p.cc.S, p.until.S, p.driver.S)
		}
		if line, twice := seen[p.cc.S]; twice {
			w.fail(p.cc.Line, "%s is promised already in line %d", p.cc.S, line)
		}
		seen[p.cc.S] = p.cc.Line
		if p.cc.S != "" && p.driver.S != "" && p.glibc.S != "" {
			m.checkPromise(w, p)
		}
	}
}

// checkPromise looks for a cell that keeps p, and says what the nearest lacks.
func (m *Matrix) checkPromise(w *walker, p *promise) {
	var serving, drivers, glibcs []string
	for _, c := range m.cells {
		t := m.toolkits[c.toolkit.S]
		if t == nil || m.isOptional(c) || !slices.ContainsFunc(c.sms, func(sm text) bool { return runs(sm.S, p.cc.S) }) {
			continue
		}
		s := m.systems[t.system.S]
		if s == nil {
			return // told already
		}
		serving = append(serving, c.id.S)
		driver := compareDotted(p.driver.S, t.minDriver.S) >= 0
		glibc := compareDotted(p.glibc.S, s.glibc.S) >= 0
		if driver && glibc {
			return
		}
		if !driver {
			drivers = append(drivers, fmt.Sprintf("%s needs driver %s", c.id.S, t.minDriver.S))
		} else {
			glibcs = append(glibcs, fmt.Sprintf("%s needs glibc %s", c.id.S, s.glibc.S))
		}
	}
	if len(serving) == 0 {
		w.fail(p.cc.Line, "%s is promised, and no cell has machine code that runs on it", p.cc.S)
		return
	}
	w.fail(p.cc.Line, "%s is promised from driver %s and glibc %s on, and no cell keeps that: %s",
		p.cc.S, p.driver.S, p.glibc.S, strings.Join(append(drivers, glibcs...), ", "))
}

// tegra are SMs of chips on which only their own machine code runs. A test holds them
// to package compat's data.
var tegra = [...]string{"32", "53", "62", "72", "87", "88", "101", "110"}

// runs reports whether machine code for sm runs on a GPU of compute capability
// cc: same major and not newer; exactly that one for a suffix and on Tegra.
func runs(sm, cc string) bool {
	name := strings.Replace(cc, ".", "", 1)
	bare := strings.TrimRight(sm, "af")
	if strings.HasSuffix(sm, "a") || slices.Contains(tegra[:], bare) || slices.Contains(tegra[:], name) {
		return bare == name
	}
	return len(bare) == len(name) && bare[:len(bare)-1] == name[:len(name)-1] && bare <= name
}

// compareDotted compares versions number by number; a missing part counts as 0.
// Driver versions are no semver: 525.60.13 has no meaning per place, and
// 450.80.02 has a zero in front.
func compareDotted(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		var m, n int
		if i < len(x) {
			m, _ = strconv.Atoi(x[i])
		}
		if i < len(y) {
			n, _ = strconv.Atoi(y[i])
		}
		if m != n {
			return m - n
		}
	}
	return 0
}

// MinDriver is the oldest driver on which machine code of a toolkit runs, as
// the matrix states it; "" for no toolkit.
func (m *Matrix) MinDriver(toolkit string) string {
	if t := m.toolkits[toolkit]; t != nil {
		return t.minDriver.S
	}
	return ""
}

// HasMachineCode says whether a cell that is built by default has machine code
// that runs on a compute capability ("8.6").
func (m *Matrix) HasMachineCode(cc string) bool {
	return slices.ContainsFunc(m.cells, func(c *cell) bool {
		return !m.isOptional(c) && slices.ContainsFunc(c.sms, func(sm text) bool { return runs(sm.S, cc) })
	})
}

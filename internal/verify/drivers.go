package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/matrix"
)

// Codes of misses of drivers.
const (
	DriverTooNew = "driver-floor"
	PTXTooNew    = "ptx-isa-too-new"
)

// Promise is what the matrix says beyond the cell.
type Promise struct {
	// MinDriver is the oldest driver for machine code of the cell's toolkit.
	MinDriver string
	// MachineCode says for which compute capabilities a cell of the matrix has
	// machine code.
	MachineCode func(cc string) bool
}

// Drivers lists what the files ask of a driver beyond the promise.
//
// Machine code: on every GPU that an SM of the cell is for, the files run
// natively on the oldest driver promised, by the rules that runners judge by
// (compat.Run): cudart, compression and whatever else makes a floor.
//
// PTX: the matrix promises machine code alone; the PTX of a cell rides along for
// GPUs that are newer than its machine code. So its ISA may be newer than the
// oldest driver promised compiles, but
//
//   - never newer than the cell's own toolkit writes: then the text is not that
//     compiler's;
//   - and on a GPU that is not newer (its compute capability lies below the
//     cell's newest SM, and PTX had a target for it before that ISA, so drivers
//     exist that know the GPU and not the ISA) and would run by this PTX, only
//     if a cell of the matrix has machine code for it. Else the matrix leans on
//     PTX for an old GPU, which is how T4s broke. Tegra chips are not asked
//     about: they are on no linux/amd64 host.
func Drivers(p matrix.Plan, r facts.Report, o Promise) []Miss {
	c := &check{cell: p.Cell, report: r}
	t, err := compat.Load()
	if err != nil || p.Cell.Toolkit == "" || o.MinDriver == "" {
		return nil
	}
	oldest := t.DriverOf(facts.Driver{Libcuda: o.MinDriver, Kernel: o.MinDriver})
	for _, f := range r.Files {
		if f.Device == nil || inspect.IsNVIDIA(soname(f)) {
			continue
		}
		c.machineCode(f, oldest, o)
		c.ptxOfToolkit(t, f)
		c.ptxOfOlderGPUs(t, f, oldest, o)
	}
	return order(c.misses)
}

func (c *check) machineCode(f facts.File, oldest compat.Driver, o Promise) {
	for _, sm := range c.cell.SMs {
		target, err := compat.ParseSM(sm)
		if err != nil {
			continue
		}
		got := compat.Run(f, target.CC, oldest)
		// What lacks an image, or is stored in a way the driver does not read, is
		// told of by Cell, with the units.
		because := slices.DeleteFunc(slices.Clone(got.Because), func(token string) bool { return strings.Contains(token, "compression-") })
		if got.Via != facts.ViaSASS || got.Verdict == facts.VerdictNative || len(because) == 0 {
			continue
		}
		need := "whether it suffices is not known"
		if floor, ok := compat.Lookup(compat.Floors(f), target.CC); ok && floor.MinDriver != nil {
			need = "it needs driver " + *floor.MinDriver
		}
		c.miss(DriverTooNew, f.Path, sm, fmt.Sprintf("on compute capability %s %s (%s), the promise is %s", target.CC, need, strings.Join(because, ", "), o.MinDriver),
			"build with the cell's own toolkit, or change its min_driver in the matrix")
	}
}

func (c *check) ptxOfToolkit(t *compat.Table, f facts.File) {
	newest := t.MaxISA(c.cell.Toolkit)
	if newest == "" {
		return
	}
	told := map[string]bool{}
	for _, target := range f.Device.PTX {
		if told[target.ISA] || !inspect.Newer(target.ISA, newest) {
			continue
		}
		told[target.ISA] = true
		c.miss(PTXTooNew, f.Path, target.SM, fmt.Sprintf("PTX for compute_%s has ISA %s, CUDA %s writes %s at most", target.SM, target.ISA, c.cell.Toolkit, newest),
			"look which nvcc the image has")
	}
}

func (c *check) ptxOfOlderGPUs(t *compat.Table, f facts.File, oldest compat.Driver, o Promise) {
	const tokenISA = "ptx-isa-"
	type fault struct {
		isa string
		ccs []string
	}
	var faults []fault
	newest := c.newest()
	for _, cc := range t.CCs() {
		tegra := slices.ContainsFunc(t.Facts.Tegra.Chips, func(chip compat.Chip) bool { return chip.CC == cc.String() })
		if tegra || len(c.cell.SMs) > 0 && cc.Compare(newest) > 0 {
			continue
		}
		got := compat.Run(f, cc, oldest)
		if got.Via != facts.ViaPTX || got.Verdict == facts.VerdictJIT || o.MachineCode != nil && o.MachineCode(cc.String()) {
			continue
		}
		first, _ := t.MinISA(cc.SM())
		for _, token := range got.Because {
			isa, ok := strings.CutPrefix(token, tokenISA)
			if !ok || first == "" || !inspect.Newer(isa, first) {
				continue
			}
			i := slices.IndexFunc(faults, func(f fault) bool { return f.isa == isa })
			if i < 0 {
				i, faults = len(faults), append(faults, fault{isa: isa})
			}
			faults[i].ccs = append(faults[i].ccs, cc.String())
		}
	}
	for _, fault := range faults {
		c.miss(PTXTooNew, f.Path, "", fmt.Sprintf("on compute capability %s it runs by PTX of ISA %s alone, which driver %s of the promise cannot compile, and no cell has machine code for it",
			strings.Join(fault.ccs, ", "), fault.isa, o.MinDriver), "promise machine code for it, or take the PTX out of the cell")
	}
}

// newest is the compute capability of the cell's newest SM.
func (c *check) newest() (cc compat.CC) {
	for _, sm := range c.cell.SMs {
		if target, err := compat.ParseSM(sm); err == nil && target.Compare(cc) > 0 {
			cc = target.CC
		}
	}
	return cc
}

// readBy says whether a driver is known to read an image as it is stored.
func readBy(i facts.Image, driver string) bool {
	t, err := compat.Load()
	if err != nil {
		return false
	}
	for _, k := range t.Facts.Compression.Kinds {
		if k.Kind != i.Compression {
			continue
		}
		// PTX that zstd packed asks nothing beyond its own ISA: what compiles
		// that text reads it.
		if i.Kind == facts.KindPTX && k.DecoderCUDA == "" {
			return true
		}
		have, _ := t.CUDAOf(driver)
		switch {
		case k.DecoderCUDA != "":
			return have != "" && !inspect.Newer(k.DecoderCUDA, have)
		case k.SASSMinCUDA == "":
			return true
		}
		return have != "" && !inspect.Newer(k.SASSMinCUDA, have) && (have != k.SASSMinCUDA || !inspect.Newer(k.SASSMinDriver, driver))
	}
	return false
}

// readers says which drivers read a way of storing.
func readers(how string) string {
	t, err := compat.Load()
	if err == nil {
		for _, k := range t.Facts.Compression.Kinds {
			switch {
			case k.Kind == how && k.SASSMinDriver != "":
				return "does not read: " + k.SASSMinDriver + " (CUDA " + k.SASSMinCUDA + ") does"
			case k.Kind == how && k.DecoderCUDA != "":
				return "is not known to read: a driver of CUDA " + k.DecoderCUDA + " is"
			}
		}
	}
	return "is not known to read"
}

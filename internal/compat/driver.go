package compat

import (
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Driver is what floors are compared with: the libcuda that a program would
// load, whatever the kernel module is.
type Driver struct {
	// Libcuda is its version, the kernel module's where only that is known and
	// no forward-compat library is in play.
	Libcuda Version
	// Low and High bound the CUDA version it reports; they are equal where it
	// told, or where its branch is in the table. High is not known for a branch
	// beyond the table, and both where there is nothing to go by.
	Low, High Version
}

// DriverOf reads a host's driver. A version without a reported CUDA is looked up
// by its branch; a branch that the table lacks lies between its neighbours.
func (t *Table) DriverOf(h facts.Driver) Driver {
	d := Driver{Libcuda: version(h.Libcuda)}
	if !d.Libcuda.Known() && !h.Compat {
		d.Libcuda = version(h.Kernel)
	}
	if cuda := version(h.CUDA); cuda.Known() {
		d.Low, d.High = cuda.minor(), cuda.minor()
		return d
	}
	if !d.Libcuda.Known() {
		return d
	}
	for _, b := range t.branches {
		switch {
		case b.major == d.Libcuda.Major():
			d.Low, d.High = b.cuda, b.cuda
			return d
		case b.major < d.Libcuda.Major():
			d.Low = b.cuda
		case !d.High.Known():
			d.High = b.cuda
		}
	}
	return d
}

// answer to a demand.
type answer int

const (
	yes answer = iota
	open
	no
)

// meets compares a driver with a demand: the reported CUDA must be at least the
// demanded one, and a driver version decides within its own branch only.
func (d Driver) meets(w demand) answer {
	if w.cuda.Known() {
		switch {
		case !d.Low.Known() && !d.High.Known():
			return open
		case d.High.Known() && d.High.Less(w.cuda):
			return no
		case d.Low.Less(w.cuda):
			return open
		}
	}
	if w.driver.Known() {
		switch {
		case !d.Libcuda.Known():
			if d.Low.Compare(d.High) == 0 && d.Low.Compare(w.cuda) == 0 {
				return open // the first release of that CUDA, or one before it?
			}
		case d.Libcuda.Major() == w.driver.Major() && d.Libcuda.Less(w.driver):
			return no
		}
	}
	if w.below.Known() && (!d.Low.Known() || d.Low.Less(w.below)) {
		return open
	}
	return yes
}

// meetsToken is meets for one thing that a floor rests on. floor is the floor's
// own demand: a builder that knew more than this table put it there.
func (t *Table) meetsToken(d Driver, token string, floor demand) (demand, answer) {
	if strings.HasPrefix(token, becauseUnknown) {
		return demand{}, open
	}
	w, known := t.demandOf(token)
	if known {
		return w, d.meets(w)
	}
	if !strings.HasPrefix(token, becausePTX) {
		return w, yes // a token of a newer builder: its floor decides
	}
	if w.cuda.Less(floor.cuda) {
		return floor, d.meets(floor)
	}
	// An ISA newer than w.cuda knows; by how much is not known.
	if d.High.Known() && d.High.Compare(w.cuda) <= 0 {
		return w, no
	}
	return w, open
}

// Result is what becomes of a file on one GPU under one driver.
type Result struct {
	// Via is how it runs, or would if the driver were new enough.
	Via string
	// Verdict is native, jit, unknown or refused.
	Verdict string
	// Because names what the driver fails to meet, or leaves open.
	Because []string
}

// Run judges one file on one GPU under one driver directly, unit by unit. It is
// what Floors must agree with, and what an oracle of real launches is held against.
func Run(f facts.File, cc CC, d Driver) Result {
	if !judged(f.Device) {
		return Result{Via: facts.ViaSASS, Verdict: facts.VerdictNative}
	}
	t := table()
	return t.result(t.deviceAt(f.Device, nil, cc), d)
}

// result holds an outcome against a driver.
func (t *Table) result(o outcome, d Driver) Result {
	r := Result{Via: o.via}
	if o.via == facts.ViaNone {
		r.Verdict, r.Because = facts.VerdictRefused, o.because
		return r
	}
	worst := yes
	for _, token := range o.because {
		if _, a := t.meetsToken(d, token, o.demand); a != yes {
			worst = max(worst, a)
			r.Because = append(r.Because, token)
		}
	}
	// The floor itself, for what no known token explains.
	worst = max(worst, d.meets(o.demand))
	switch {
	case worst == no:
		r.Verdict = facts.VerdictRefused
	case worst == open:
		r.Verdict = facts.VerdictUnknown
	case o.via == facts.ViaPTX:
		r.Verdict = facts.VerdictJIT
	default:
		r.Verdict = facts.VerdictNative
	}
	return r
}

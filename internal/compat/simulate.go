package compat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// SourceGiven is facts.Driver.Source of a driver that a person named.
const SourceGiven = "given"

// Simulate is what `why --driver --sm --glibc` gave.
type Simulate struct {
	// Driver is a version, "535.104.05"; "" = not given.
	Driver string
	// SMs are "75", "7.5" or several in one, "61,86"; empty = not given.
	SMs []string
	// Glibc is "2.31"; "" = not given.
	Glibc string
	// Base is the host that is changed; nil starts from one of which nothing is known.
	Base *facts.Host
}

// SimulatedHost makes a host out of what was given. A driver stands for both its
// halves and for the CUDA version of its branch; what was not given keeps the
// base's value, or is unknown. The error is a wrong value, named (exit code 2).
func SimulatedHost(o Simulate) (facts.Host, error) {
	h := facts.Host{}
	if o.Base != nil {
		h = *o.Base
	}
	unknown := map[string]string{}
	for k, v := range h.Unknown {
		unknown[k] = v
	}
	sources := map[string]string{}
	for k, v := range h.Sources {
		sources[k] = v
	}
	// given forgets who told a field and says that a person did.
	given := func(field string) {
		for k := range sources {
			if k == field || strings.HasPrefix(k, field+".") {
				delete(sources, k)
			}
		}
		sources[field] = SourceGiven
	}
	var wrong []error
	switch {
	case o.Driver != "":
		given("driver")
		if v, err := ParseVersion(o.Driver); err != nil || v.n < 2 || v.Major() < 100 {
			wrong = append(wrong, fmt.Errorf("driver %q is not a version such as 535.104.05", o.Driver))
		}
		cuda, _ := table().CUDAOf(o.Driver)
		h.Driver = &facts.Driver{Kernel: o.Driver, Libcuda: o.Driver, CUDA: cuda, Source: SourceGiven}
		for k := range unknown {
			if k == UnknownDriver || strings.HasPrefix(k, UnknownDriver+".") {
				delete(unknown, k)
			}
		}
		if cuda == "" {
			unknown["driver.cuda"] = "no record of what this driver branch reports"
		}
	case o.Base == nil:
		unknown[UnknownDriver] = NotGiven
	}
	switch sms := split(o.SMs); {
	case len(sms) > 0:
		given("gpus")
		h.GPUs = nil
		for i, s := range sms {
			cc, err := parseGiven(s)
			if err != nil {
				wrong = append(wrong, err)
				continue
			}
			h.GPUs = append(h.GPUs, facts.GPU{Index: i, CC: cc.String(), Visible: true})
		}
		for k := range unknown {
			if strings.HasPrefix(k, UnknownGPUs) {
				delete(unknown, k)
			}
		}
	case o.Base == nil:
		unknown[UnknownGPUs] = NotGiven
	}
	switch {
	case o.Glibc != "":
		if v, err := ParseVersion(o.Glibc); err != nil || v.n < 2 {
			wrong = append(wrong, fmt.Errorf("glibc %q is not a version such as 2.31", o.Glibc))
		}
		given("libc")
		h.Libc = o.Glibc
		delete(unknown, "libc")
	case o.Base == nil:
		unknown["libc"] = NotGiven
	}
	if o.Base == nil {
		for _, k := range []string{"platform", "glibcxx", "libs", "cpu"} {
			unknown[k] = NotGiven
		}
	}
	h.Sources = nil
	if len(sources) > 0 {
		h.Sources = sources
	}
	if len(unknown) > 0 {
		h.Unknown = unknown
	} else {
		h.Unknown = nil
	}
	if err := errors.Join(wrong...); err != nil {
		return facts.Host{}, &GivenError{err}
	}
	return h, nil
}

// GivenError is a simulated host that cannot be.
type GivenError struct{ Err error }

func (e *GivenError) Error() string { return strings.ReplaceAll(e.Err.Error(), "\n", "; ") }
func (e *GivenError) Unwrap() error { return e.Err }

// ExitCode is that of wrong usage.
func (e *GivenError) ExitCode() int { return 2 }

// Hint says how it is written.
func (e *GivenError) Hint() string { return "for example: --driver 535.104.05 --sm 75 --glibc 2.31" }

func split(list []string) []string {
	var out []string
	for _, l := range list {
		for _, s := range strings.Split(l, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// parseGiven reads "75", "sm_75", "7.5", "90a".
func parseGiven(s string) (CC, error) {
	if cc, err := ParseCC(s); err == nil {
		return cc, nil
	}
	sm, err := ParseSM(strings.TrimPrefix(s, "sm_"))
	if err != nil {
		return CC{}, fmt.Errorf("sm %q is not of the form 75 or 7.5", s)
	}
	return sm.CC, nil
}

package compat

import (
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
)

func TestADriverMeetsADemand(t *testing.T) {
	want := func(cuda, driver string) demand { return demand{cuda: version(cuda), driver: version(driver)} }
	for name, c := range map[string]struct {
		have facts.Driver
		want demand
		is   answer
	}{
		"the very driver":                               {facts.Driver{Libcuda: "525.60.13", CUDA: "12.0"}, want("12.0", "525.60.13"), yes},
		"an earlier one of its branch":                  {facts.Driver{Libcuda: "525.53", CUDA: "12.0"}, want("12.0", "525.60.13"), no},
		"padding does not matter":                       {facts.Driver{Libcuda: "450.80.2", CUDA: "11.0"}, want("11.0", "450.80.02"), yes},
		"another branch is judged by its CUDA alone":    {facts.Driver{Libcuda: "565.57.01", CUDA: "12.8"}, want("12.8", "570.26"), yes},
		"a higher number of an older CUDA is no help":   {facts.Driver{Libcuda: "570.99", CUDA: "12.7"}, want("12.8", "570.26"), no},
		"CUDA by the branch":                            {facts.Driver{Libcuda: "550.54.15"}, want("12.4", "550.54.14"), yes},
		"libcuda by the kernel module":                  {facts.Driver{Kernel: "550.54.15"}, want("12.4", "550.54.14"), yes},
		"not so where libcuda is not the driver's own":  {facts.Driver{Kernel: "550.54.15", Compat: true}, want("12.4", ""), open},
		"nothing known":                                 {facts.Driver{}, want("12.0", ""), open},
		"nothing known and nothing asked":               {facts.Driver{}, demand{}, yes},
		"only the CUDA of a first release":              {facts.Driver{CUDA: "12.0"}, want("12.0", "525.60.13"), open},
		"only a later CUDA":                             {facts.Driver{CUDA: "12.1"}, want("12.0", "525.60.13"), yes},
		"a branch between two: below both":              {facts.Driver{Libcuda: "600.10"}, want("13.2", ""), yes},
		"a branch between two: above both":              {facts.Driver{Libcuda: "600.10"}, want("13.4", ""), no},
		"a branch between two: between them":            {facts.Driver{Libcuda: "600.10"}, want("13.3", ""), open},
		"a branch beyond the table may report anything": {facts.Driver{Libcuda: "700.10"}, want("14.0", ""), open},
		"a branch before the table":                     {facts.Driver{Libcuda: "340.108"}, want("11.0", ""), no},
	} {
		if got := table().DriverOf(c.have).meets(c.want); got != c.is {
			t.Errorf("%s: got %d, want %d", name, got, c.is)
		}
	}
}

func TestANewerBuildersFloorIsBelieved(t *testing.T) {
	cuda := "13.6"
	in := CandidateInput{ID: "x"}
	in.App.Floors = []facts.Floor{{CC: "9.0+", Via: "ptx", MinCUDA: &cuda, Because: []string{"cudart-13", "ptx-isa-9.9"}, Sure: "doc"}}
	for have, want := range map[string]string{"13.5": facts.VerdictRefused, "13.6": facts.VerdictJIT} {
		h := hostWith("630.10.01", "9.0")
		h.Driver.CUDA = have
		c := Judge(in, h)
		if c.Verdict != want {
			t.Errorf("CUDA %s: %s %v, want %s", have, c.Verdict, codes(c.Reasons), want)
		}
		if want == facts.VerdictRefused && find(t, c, facts.PTXISATooNew).CUDAError != 222 {
			t.Errorf("%+v", c.Reasons)
		}
	}
}

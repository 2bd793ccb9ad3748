package compat

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

func TestWhatIsWrongWithAHostItself(t *testing.T) {
	change := func(h facts.Host, fn func(*facts.Host)) facts.Host { fn(&h); return h }
	for name, c := range map[string]struct {
		host facts.Host
		want []string
	}{
		"nothing":                                     {hostWith("550.54.15", "7.5"), []string{}},
		"a machine without GPU and driver":            {facts.Host{GPUs: []facts.GPU{}, Unknown: map[string]string{"driver": "none"}}, []string{}},
		"a driver and no GPU":                         {hostWith("550.54.15"), []string{facts.NoGPU}},
		"libcuda's word that there is none is enough": {change(hostWith("550.54.15"), func(h *facts.Host) { h.Driver.InitError = 100 }), []string{facts.NoGPU}},
		"a GPU and no driver":                         {facts.Host{GPUs: []facts.GPU{{PCIID: "10de:1eb8"}}}, []string{facts.NoDriver}},
		"a simulated host is not told of":             {facts.Host{Unknown: map[string]string{"driver": NotGiven, "gpus": NotGiven}}, []string{}},
		"two halves":                                  {change(hostWith("550.54.15", "7.5"), func(h *facts.Host) { h.Driver.Kernel = "550.54.14" }), []string{facts.DriverMismatch}},
		"WSL's two halves are no trouble":             {change(hostWith("550.54.15", "7.5"), func(h *facts.Host) { h.Driver.Kernel, h.Where = "551.61", []string{"wsl2"} }), []string{}},
		"hidden by the environment":                   {change(hostWith("550.54.15", "7.5"), func(h *facts.Host) { h.GPUs[0].Visible, h.Env = false, map[string]string{"CUDA_VISIBLE_DEVICES": "-1"} }), []string{facts.NoGPU}},
		"a stub":                                      {change(hostWith("550.54.15", "7.5"), func(h *facts.Host) { h.Unknown = map[string]string{"driver.libcuda": "a stub for linking"} }), []string{facts.StubLibcuda}},
		"forward-compat before a GeForce": {change(hostWith("555.42.06", "8.6"), func(h *facts.Host) {
			h.Driver.Kernel, h.Driver.Compat, h.GPUs[0].Name = "550.54.15", true, "NVIDIA GeForce RTX 3090"
		}), []string{facts.CompatNotSupported}},
		"a dropped GPU beside one that works": {change(hostWith("590.48.01", "7.5"), func(h *facts.Host) { h.GPUs = append(h.GPUs, facts.GPU{Index: 1, PCIID: "10de:15f8", Dropped: true}) }), []string{facts.GPUDropped}},
		"the driver's compiler is missing": {change(hostWith("550.54.15", "7.5"), func(h *facts.Host) {
			h.Driver.Dir, h.Libs = "/usr/lib64", []facts.HostLib{{Soname: "libcuda.so.1", Path: "/usr/lib64/libcuda.so.1"}}
		}), []string{facts.JITMissing}},
		"machine code passed over": {change(hostWith("550.54.15", "7.5"), func(h *facts.Host) { h.Env = map[string]string{"CUDA_FORCE_PTX_JIT": "1"} }), []string{facts.UnknownFact}},
	} {
		got := []string{}
		for _, r := range HostProblems(c.host) {
			got = append(got, r.Code)
			if r.Text == "" || r.Fix == "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

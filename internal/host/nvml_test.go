//go:build linux && cgo

package host

import (
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// The whole machines that go-nvml brings, as this package would tell of them.
func TestWholeMachinesOfNVML(t *testing.T) {
	ok := func() nvml.Return { return nvml.SUCCESS }
	for name, c := range map[string]struct {
		server *server.Server
		cc     string
	}{"DGX A100": {dgxa100.New(), "8.0"}, "DGX H100": {dgxh100.New(), "9.0"}, "DGX H200": {dgxh200.New(), "9.0"}, "DGX B200": {dgxb200.New(), "10.0"}} {
		t.Run(name, func(t *testing.T) {
			c.server.InitFunc, c.server.ShutdownFunc = ok, ok
			m := newMachine(t)
			m.env["CUDA_VISIBLE_DEVICES"] = "0,3"
			unknown := map[string]string{}
			w := witnesses{files: findDriver(tree{m.root}, newLoader(tree{m.root}, m.env)), nvml: readNVML(c.server), busSeen: true}
			d := w.driver(unknown, map[string]string{})
			gpus := w.gpus(d, m.env, unknown, map[string]string{})
			if d == nil || d.Kernel != c.server.DriverVersion || d.Source != "nvml" || len(gpus) != 8 {
				t.Fatalf("driver %+v, %d GPUs", d, len(gpus))
			}
			visible := 0
			for _, g := range gpus {
				if g.CC != c.cc || g.Memory <= 0 || g.UUID == "" || g.MIG || g.Name == "" {
					t.Errorf("%+v", g)
				}
				if g.Visible {
					visible++
				}
			}
			if visible != 2 || len(unknown["gpus.visible"]) > 0 {
				t.Errorf("%d visible, %v", visible, unknown)
			}
		})
	}
}

func TestMIGWithoutAnInstanceIsSeenByNobody(t *testing.T) {
	device := func(places int, instance nvml.Return) *mock.Device {
		return &mock.Device{
			GetNameFunc:                  func() (string, nvml.Return) { return "NVIDIA A100-SXM4-40GB", nvml.SUCCESS },
			GetUUIDFunc:                  func() (string, nvml.Return) { return "GPU-1", nvml.SUCCESS },
			GetCudaComputeCapabilityFunc: func() (int, int, nvml.Return) { return 8, 0, nvml.SUCCESS },
			GetMemoryInfoFunc:            func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 1}, nvml.SUCCESS },
			GetPciInfoFunc:               func() (nvml.PciInfo, nvml.Return) { return nvml.PciInfo{Bus: 7}, nvml.SUCCESS },
			GetMigModeFunc:               func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 0, nvml.SUCCESS },
			GetMaxMigDeviceCountFunc:     func() (int, nvml.Return) { return places, nvml.SUCCESS },
			GetMigDeviceHandleByIndexFunc: func(int) (nvml.Device, nvml.Return) {
				return &mock.Device{GetUUIDFunc: func() (string, nvml.Return) { return "MIG-9", nvml.SUCCESS }}, instance
			},
		}
	}
	for name, c := range map[string]struct {
		instance nvml.Return
		visible  bool
	}{"an instance": {nvml.SUCCESS, true}, "none": {nvml.ERROR_NOT_FOUND, false}} {
		unknown := map[string]string{}
		w := witnesses{nvml: answer{Driver: "550.54.15", GPUs: []gpuAnswer{readDevice(device(1, c.instance))}}}
		g := w.gpus(&facts.Driver{}, nil, unknown, map[string]string{})[0]
		if g.Visible != c.visible || !g.MIG || (len(g.MIGs) == 1) != c.visible || (unknown["gpus[0].mig"] == "") != c.visible {
			t.Errorf("%s: %+v %v", name, g, unknown)
		}
	}
}

func TestADGXA100AsNVMLTellsIt(t *testing.T) {
	server := dgxa100.New()
	server.InitFunc = func() nvml.Return { return nvml.SUCCESS }
	server.ShutdownFunc = func() nvml.Return { return nvml.SUCCESS }
	a := readNVML(server)
	if a.Error != "" || a.Driver != "550.54.15" || a.CUDA != 12040 || len(a.GPUs) != 8 {
		t.Fatalf("got %+v", a)
	}
	seen := map[string]bool{}
	for i, g := range a.GPUs {
		if g.CC != "8.0" || g.Memory <= 0 || g.UUID == "" || g.MIG {
			t.Errorf("GPU %d: %+v", i, g)
		}
		seen[g.UUID] = true
	}
	if len(seen) != 8 {
		t.Errorf("UUIDs are not one for each GPU: %v", seen)
	}
}

// The mock has no function but Init: any further call ends the test.
func TestNoCallFollowsAFailedInit(t *testing.T) {
	for ret, want := range map[nvml.Return]string{
		nvml.ERROR_LIBRARY_NOT_FOUND:       "NVML: the library could not be loaded (12)",
		nvml.ERROR_DRIVER_NOT_LOADED:       "NVML: the kernel driver is not loaded (9)",
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: "NVML: the library and the loaded kernel driver are of different versions (18)",
		nvml.Return(77):                    "NVML error 77",
	} {
		a := readNVML(&mock.Interface{InitFunc: func() nvml.Return { return ret }})
		if a.Error != want || a.Code != int(ret) || a.GPUs != nil {
			t.Errorf("got %+v, want %q", a, want)
		}
	}
}

func TestALostGPUKeepsItsPlaceAndItsReason(t *testing.T) {
	lib := &mock.Interface{
		InitFunc: func() nvml.Return { return nvml.SUCCESS }, ShutdownFunc: func() nvml.Return { return nvml.SUCCESS },
		SystemGetDriverVersionFunc:     func() (string, nvml.Return) { return "535.104.05", nvml.SUCCESS },
		SystemGetCudaDriverVersionFunc: func() (int, nvml.Return) { return 12020, nvml.SUCCESS },
		DeviceGetCountFunc:             func() (int, nvml.Return) { return 2, nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
			if i == 0 {
				return nil, nvml.ERROR_GPU_IS_LOST
			}
			return &mock.Device{
				GetNameFunc:                  func() (string, nvml.Return) { return "A100", nvml.SUCCESS },
				GetUUIDFunc:                  func() (string, nvml.Return) { return "GPU-1", nvml.SUCCESS },
				GetCudaComputeCapabilityFunc: func() (int, int, nvml.Return) { return 8, 0, nvml.SUCCESS },
				GetMemoryInfoFunc:            func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_NO_PERMISSION },
				GetPciInfoFunc:               func() (nvml.PciInfo, nvml.Return) { return nvml.PciInfo{Domain: 1, Bus: 0x81}, nvml.SUCCESS },
				GetMigModeFunc:               func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 0, nvml.SUCCESS },
				GetMaxMigDeviceCountFunc:     func() (int, nvml.Return) { return 2, nvml.SUCCESS },
				GetMigDeviceHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
					if i == 0 {
						return nil, nvml.ERROR_NOT_FOUND
					}
					return &mock.Device{GetUUIDFunc: func() (string, nvml.Return) { return "MIG-9", nvml.SUCCESS }}, nvml.SUCCESS
				},
			}, nvml.SUCCESS
		},
	}
	a := readNVML(lib)
	if len(a.GPUs) != 2 || a.GPUs[0].Unknown[""] == "" {
		t.Fatalf("got %+v", a)
	}
	g := a.GPUs[1]
	if g.PCI != "0001:81:00.0" || !g.MIG || len(g.MIGs) != 1 || g.MIGs[0] != "MIG-9" || g.Unknown["memory"] != "NVML: no permission (4)" {
		t.Errorf("got %+v", g)
	}
}

//go:build linux && cgo

package host

import (
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
)

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

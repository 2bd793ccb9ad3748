//go:build linux && cgo

package host

import (
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

func loadNVML(path string) answer {
	return readNVML(nvml.New(nvml.WithLibraryPath(path)))
}

// readNVML asks a library that is not yet initialised. Where Init fails no
// further call is made: after ERROR_LIBRARY_NOT_FOUND any would kill the
// process, nvmlErrorString included. So errors are spelled here.
func readNVML(lib nvml.Interface) answer {
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return answer{Error: nvmlError(ret), Code: int(ret)}
	}
	defer func() { _ = lib.Shutdown() }()
	var a answer
	if v, ret := lib.SystemGetDriverVersion(); ret == nvml.SUCCESS {
		a.Driver = v
	}
	if v, ret := lib.SystemGetCudaDriverVersion(); ret == nvml.SUCCESS {
		a.CUDA = v
	}
	count, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		a.Error, a.Code = "counting devices: "+nvmlError(ret), int(ret)
		return a
	}
	a.GPUs = make([]gpuAnswer, 0, count)
	for i := range count {
		d, ret := lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			// It keeps its place: ordinals count it.
			a.GPUs = append(a.GPUs, gpuAnswer{Unknown: map[string]string{"": nvmlError(ret)}})
			continue
		}
		a.GPUs = append(a.GPUs, readDevice(d))
	}
	return a
}

func readDevice(d nvml.Device) gpuAnswer {
	g := gpuAnswer{Unknown: map[string]string{}}
	note := func(field string, ret nvml.Return) bool {
		if ret != nvml.SUCCESS {
			g.Unknown[field] = nvmlError(ret)
		}
		return ret == nvml.SUCCESS
	}
	var ret nvml.Return
	if g.Name, ret = d.GetName(); !note("name", ret) {
		g.Name = ""
	}
	if g.UUID, ret = d.GetUUID(); !note("uuid", ret) {
		g.UUID = ""
	}
	if major, minor, ret := d.GetCudaComputeCapability(); note("cc", ret) {
		g.CC = fmt.Sprintf("%d.%d", major, minor)
	}
	if m, ret := d.GetMemoryInfo(); note("memory", ret) {
		g.Memory = int64(m.Total) //nolint:gosec // bytes of one GPU
	}
	if p, ret := d.GetPciInfo(); note("pci", ret) {
		g.PCI = busID(p)
	}
	// A GPU that cannot do MIG says NOT_SUPPORTED: then it is not on.
	switch current, _, ret := d.GetMigMode(); ret {
	case nvml.SUCCESS:
		g.MIG = current == nvml.DEVICE_MIG_ENABLE
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND:
	default:
		note("mig", ret)
	}
	if g.MIG {
		var known bool
		g.MIGs, known = migUUIDs(d)
		g.Idle = known && len(g.MIGs) == 0
	}
	return g
}

// busID is a device's address as sysfs writes it.
func busID(p nvml.PciInfo) string {
	var b strings.Builder
	for _, c := range p.BusId {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	if b.Len() > 0 {
		return pciAddress(b.String())
	}
	return fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device)
}

// migUUIDs lists a GPU's MIG instances; false where NVML cannot say.
func migUUIDs(d nvml.Device) ([]string, bool) {
	n, ret := d.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		return nil, false
	}
	var out []string
	for i := range n {
		m, ret := d.GetMigDeviceHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue // NOT_FOUND: no instance in this place
		}
		if uuid, ret := m.GetUUID(); ret == nvml.SUCCESS {
			out = append(out, uuid)
		}
	}
	return out, true
}

// nvmlError names the errors of Init and of queries without calling NVML.
func nvmlError(ret nvml.Return) string {
	names := map[nvml.Return]string{
		nvml.ERROR_NOT_SUPPORTED: "not supported", nvml.ERROR_NO_PERMISSION: "no permission",
		nvml.ERROR_DRIVER_NOT_LOADED: "the kernel driver is not loaded", nvml.ERROR_LIBRARY_NOT_FOUND: "the library could not be loaded",
		nvml.ERROR_FUNCTION_NOT_FOUND: "this library is too old for the question", nvml.ERROR_GPU_IS_LOST: "the GPU has fallen off the bus",
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: "the library and the loaded kernel driver are of different versions",
		nvml.ERROR_TIMEOUT:                 "timed out", nvml.ERROR_UNKNOWN: "unknown error", nvml.ERROR_NOT_FOUND: "not found",
		nvml.ERROR_NO_DATA: "no data", nvml.ERROR_IRQ_ISSUE: "the kernel has trouble with the GPU's interrupts",
	}
	if s, ok := names[ret]; ok {
		return fmt.Sprintf("NVML: %s (%d)", s, int(ret))
	}
	return fmt.Sprintf("NVML error %d", int(ret))
}

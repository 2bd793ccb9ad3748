package host

import (
	"path"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// busGPU is an NVIDIA display device on the PCI bus.
type busGPU struct {
	Address string
	// Driver is the kernel driver bound to it ("nvidia", "vfio-pci"); "" = none.
	Driver string
	// ID is its vendor and device number, "10de:1eb8"; "" where it cannot be read.
	ID string
	// Model is what the loaded driver calls it, where it says so.
	Model string
}

const vendorNVIDIA = "0x10de"

// readBus lists NVIDIA GPUs on the PCI bus. ok is false where the bus cannot be
// seen: then an empty list means nothing.
func readBus(t tree) (gpus []busGPU, ok bool) {
	if !t.exists("/sys/bus") {
		return nil, false
	}
	// A machine without a PCI bus has no folder, and no PCI device.
	for _, address := range t.list("/sys/bus/pci/devices") {
		dir := path.Join("/sys/bus/pci/devices", address)
		class := t.text(path.Join(dir, "class"))
		// 0x0300xx VGA, 0x0302xx 3D controller; NVIDIA's audio and USB parts are others.
		if t.text(path.Join(dir, "vendor")) != vendorNVIDIA || !strings.HasPrefix(class, "0x0300") && !strings.HasPrefix(class, "0x0302") {
			continue
		}
		g := busGPU{Address: pciAddress(address)}
		if number, ok := strings.CutPrefix(t.text(path.Join(dir, "device")), "0x"); ok {
			g.ID = "10de:" + number
		}
		if driver, ok := t.real(path.Join(dir, "driver")); ok {
			g.Driver = path.Base(driver)
		}
		for line := range strings.Lines(t.text(path.Join("/proc/driver/nvidia/gpus", address, "information"))) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "Model" {
				g.Model = strings.TrimSpace(value)
			}
		}
		gpus = append(gpus, g)
	}
	return gpus, true
}

var pciParts = lazyregexp.New(`^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.([0-7]))?$`)

// pciAddress brings an address to sysfs's form: NVML writes 00000000:00:04.0,
// nvidia-smi the same in capitals, sysfs 0000:00:04.0.
func pciAddress(s string) string {
	m := pciParts.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return s
	}
	domain, function := m[1], m[4]
	for len(domain) > 4 && domain[0] == '0' {
		domain = domain[1:]
	}
	if domain == "" {
		domain = "0000"
	}
	if function == "" {
		function = "0"
	}
	return domain + ":" + m[2] + ":" + m[3] + "." + function
}

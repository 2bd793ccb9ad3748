package serve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Backends is what a server did with its devices, read from its own log.
type Backends struct {
	// Loaded are the backends that said so ("CPU", "CUDA"). Release builds of
	// 2026-09 load before their log is set up and say nothing: an empty list
	// means unknown.
	Loaded []string
	// Devices are what llama-server lists at its start.
	Devices []Device
	// Offloaded layers of Layers are on a GPU; both are 0 where it did not say,
	// which it does not where no GPU backend is loaded.
	Offloaded, Layers int
	// Buffers are the model's weights by place ("CUDA0", "CPU_Mapped"), in MiB.
	Buffers []Buffer
	// Failures are the backends that could not be loaded, and why.
	Failures []string
	// Told says that the server reported its devices at all.
	Told bool
}

// Device is one that the server can use.
type Device struct{ Name, Description string }

// Buffer holds weights.
type Buffer struct {
	Place string
	MiB   float64
}

var (
	loadedLine    = lazyregexp.New(`load_backend: loaded (\S+) backend from `)
	failedLine    = lazyregexp.New(`load_backend: failed to load (\S+): (.*)$`)
	deviceLine    = lazyregexp.New(`(?:^|: ) +- ([A-Za-z]+[0-9]*) *: (.+) \([0-9]+ MiB, [0-9]+ MiB free\)$`)
	offloadedLine = lazyregexp.New(`offloaded ([0-9]+)/([0-9]+) layers to GPU$`)
	bufferLine    = lazyregexp.New(`^(?:[0-9.]+ [A-Z] )?load_tensors: +(\S+) model buffer size = +([0-9.]+) MiB$`)
)

// ReadBackends reads the lines of a server's log.
func ReadBackends(lines []string) Backends {
	var b Backends
	for _, l := range lines {
		b.read(plain(l))
	}
	return b
}

// maxListed bounds each list of Backends.
const maxListed = 256

func (b *Backends) read(line string) {
	if m := loadedLine.FindStringSubmatch(line); m != nil && len(b.Loaded) < maxListed && !slices.Contains(b.Loaded, m[1]) {
		b.Loaded = append(b.Loaded, m[1])
	}
	if m := failedLine.FindStringSubmatch(line); m != nil && len(b.Failures) < maxListed {
		if f := m[1] + ": " + strings.TrimPrefix(m[2], m[1]+": "); !slices.Contains(b.Failures, f) {
			b.Failures = append(b.Failures, f)
		}
	}
	if strings.HasSuffix(line, "device_info:") {
		b.Told = true
	}
	if m := deviceLine.FindStringSubmatch(line); m != nil && len(b.Devices) < maxListed {
		b.Devices = append(b.Devices, Device{m[1], strings.TrimSpace(m[2])})
	}
	if m := offloadedLine.FindStringSubmatch(line); m != nil {
		// A draft model and the pass that measures memory print it too: the
		// model with most layers is the one that was asked for, its last word counts.
		n, _ := strconv.Atoi(m[1]) // digits by the expression
		of, _ := strconv.Atoi(m[2])
		if of >= b.Layers {
			b.Offloaded, b.Layers = n, of
		}
		b.Told = true
	}
	if m := bufferLine.FindStringSubmatch(line); m != nil && len(b.Buffers) < maxListed {
		mib, _ := strconv.ParseFloat(m[2], 64) // as above
		b.Buffers = append(b.Buffers, Buffer{m[1], mib})
	}
}

// gpuName says whether a device or buffer is a GPU's: everything that is not
// the host's memory or a CPU helper.
func gpuName(name string) bool {
	for _, host := range []string{"CPU", "Host", "BLAS", "ACCEL", "AMX", "RPC"} {
		if strings.HasPrefix(name, host) || strings.HasSuffix(name, "_Host") {
			return false
		}
	}
	return true
}

// GPUs are the devices that are GPUs.
func (b Backends) GPUs() []Device {
	return slices.DeleteFunc(slices.Clone(b.Devices), func(d Device) bool { return !gpuName(d.Name) })
}

// OnGPU says whether layers of the model are on a GPU.
func (b Backends) OnGPU() bool { return b.Offloaded > 0 && len(b.GPUs()) > 0 }

// String is one sentence for people.
func (b Backends) String() string {
	gpus := b.GPUs()
	names := make([]string, len(gpus))
	for i, d := range gpus {
		names[i] = fmt.Sprintf("%s (%s)", d.Name, d.Description)
	}
	switch {
	case b.OnGPU():
		return fmt.Sprintf("%d of %d layers on %s", b.Offloaded, b.Layers, strings.Join(names, ", "))
	case len(gpus) > 0:
		return fmt.Sprintf("no layer on a GPU, though %s is there", strings.Join(names, ", "))
	case b.Told:
		return "on the CPU: the server sees no GPU"
	default:
		return "the server did not say what it runs on"
	}
}

func (b Backends) clone() Backends {
	b.Loaded, b.Devices = slices.Clone(b.Loaded), slices.Clone(b.Devices)
	b.Buffers, b.Failures = slices.Clone(b.Buffers), slices.Clone(b.Failures)
	return b
}

package host

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Options says which host to read, and how.
type Options struct {
	// Root is where the host's "/" lies; "" is this machine.
	Root string
	// Env is the environment of the programs to judge. It is also the
	// children's.
	Env map[string]string
	// Self is the argv of a program that calls Probe on its standard streams,
	// such as {"/proc/self/exe", "probe"}. Without it no driver library is asked.
	Self []string
	// Timeout bounds each child; 0 means DefaultTimeout.
	Timeout time.Duration
}

// Values of facts.Driver.Source.
const (
	sourceNVML    = "nvml"
	sourceLibcuda = "libcuda"
	sourceSMI     = "nvidia-smi"
	sourceProc    = "proc"
)

// Read reads a host. It does not fail: what could not be read is in Unknown
// with the reason. It takes at most a few times Options.Timeout, normally
// milliseconds.
func Read(ctx context.Context, o Options) facts.Host {
	t := tree{o.Root}
	l := newLoader(t, o.Env)
	unknown := map[string]string{}
	if l.err != nil && t.exists("/etc/ld.so.cache") {
		unknown["libs"] = l.err.Error()
	}
	h := facts.Host{
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Env:      readEnv(o.Env),
		Where:    readWhere(t, o.Env),
		CPU:      parseCPU(t.text("/proc/cpuinfo")),
	}
	if h.CPU == nil {
		unknown["cpu"] = "/proc/cpuinfo lists no flags"
	}
	sources := map[string]string{}
	if h.CPU != nil {
		sources["cpu"] = "/proc/cpuinfo"
	}

	files := findDriver(t, l)
	w := witnesses{files: files, proc: parseProcVersion(t.text("/proc/driver/nvidia/version")), where: h.Where}
	// The driver's answer takes longest; the disk is read meanwhile.
	var beside sync.WaitGroup
	beside.Go(func() { w.ask(ctx, t, prober{self: o.Self, env: o.Env, timeout: o.Timeout}) })
	beside.Go(func() { h.Libs, h.Lacks = readLibs(t, l, files, o.Env), readLacks(l) })
	h.Libc, h.Glibcxx = readLibc(t, l, unknown, sources)
	w.bus, w.busSeen = readBus(t)
	beside.Wait()
	h.Driver = w.driver(unknown, sources)
	h.GPUs = w.gpus(h.Driver, o.Env, unknown, sources)
	if h.Libs != nil {
		sources["libs"] = "folders of the loader, of toolkits and of Python's packages"
	}
	h.Sources = sources
	if len(unknown) > 0 {
		h.Unknown = unknown
	}
	return h
}

// witnesses are all who may know about the driver and its GPUs.
type witnesses struct {
	files   driverFiles
	proc    string // the kernel module's version
	bus     []busGPU
	busSeen bool
	where   []string

	nvml, cuda answer
	// devices is what libcuda shows where it had to be started.
	devices answer
	smi     smiAnswer
	smiErr  string
}

// ask asks those that must be run. Only where NVML did not answer libcuda is
// started (a container may have it alone: NVIDIA_DRIVER_CAPABILITIES=compute; a
// Jetson's NVML tells little), and then nvidia-smi is asked, NVML's own client.
func (w *witnesses) ask(ctx context.Context, t tree, p prober) {
	var both sync.WaitGroup
	one := func(to *answer, kind, file, soname string) {
		if file == "" {
			to.Error = soname + " not found"
			return
		}
		both.Go(func() { *to = p.ask(ctx, question{Ask: kind, Path: t.at(file)}) })
	}
	one(&w.nvml, askNVML, w.files.nvml, sonameNVML)
	one(&w.cuda, askLibcuda, w.files.libcuda, sonameCUDA)
	both.Wait()
	if w.nvml.Error == "" {
		return
	}
	w.devices = answer{Error: "not asked"}
	if w.cuda.CUDA > 0 {
		// All devices, in the order in which the others list them.
		all := prober{self: p.self, timeout: p.timeout, env: maps.Clone(p.env)}
		delete(all.env, "CUDA_VISIBLE_DEVICES")
		if all.env == nil {
			all.env = map[string]string{}
		}
		all.env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
		if w.devices = all.ask(ctx, question{Ask: askDevices, Path: t.at(w.files.libcuda)}); w.devices.Error == "" {
			return
		}
	}
	file, ok := findSMI(t, p.env)
	if !ok {
		w.smiErr = "nvidia-smi not found"
		return
	}
	if w.files.dirNeeded {
		env := maps.Clone(p.env)
		if env == nil {
			env = map[string]string{}
		}
		env["LD_LIBRARY_PATH"] = t.at(w.files.dir) + ":" + env["LD_LIBRARY_PATH"]
		p.env = env
	}
	var err error
	if w.smi, err = p.askSMI(ctx, file); err != nil {
		w.smiErr = err.Error()
	}
}

// driver joins what they said. Each half has its own reasons for not being
// known; nil means that there is no sign of a driver at all.
func (w *witnesses) driver(unknown, sources map[string]string) *facts.Driver {
	if w.files.libcuda == "" && w.files.nvml == "" && w.proc == "" && w.smi.Driver == "" && w.nvml.Driver == "" {
		unknown["driver"] = fmt.Sprintf("no NVIDIA driver found: no %s, no %s, no /proc/driver/nvidia/version", sonameCUDA, sonameNVML)
		if w.smiErr != "" && w.smiErr != "nvidia-smi not found" {
			unknown["driver"] += "; " + w.smiErr
		}
		return nil
	}
	d := &facts.Driver{InitError: w.devices.Code, Libcuda: w.files.version, Compat: w.files.compat, Dir: w.files.dir, DirNeeded: w.files.dirNeeded}
	switch {
	case w.nvml.Error == "":
		d.Source = sourceNVML
	case w.devices.GPUs != nil:
		d.Source = sourceLibcuda
	case w.smi.Driver != "":
		d.Source = sourceSMI
	case w.cuda.CUDA > 0:
		d.Source = sourceLibcuda
	case w.proc != "":
		d.Source = sourceProc
	}
	// The kernel's own word first: it is there even where the library's is not.
	for _, v := range [...]struct{ version, source string }{{w.proc, "/proc/driver/nvidia/version"}, {w.nvml.Driver, sourceNVML}, {w.smi.Driver, sourceSMI}} {
		if v.version != "" {
			d.Kernel, sources["driver.kernel"] = v.version, v.source
			break
		}
	}
	if d.Kernel == "" {
		unknown["driver.kernel"] = "no /proc/driver/nvidia/version; " + w.nvml.Error
	}
	switch {
	case w.cuda.CUDA > 0:
		d.CUDA, sources["driver.cuda"] = cudaVersion(w.cuda.CUDA), sourceLibcuda+" ("+w.files.libcuda+")"
	case w.files.libcuda == "" || w.files.stub || w.cuda.Code != 0:
		// No libcuda that works: another's number would promise what is not there.
		unknown["driver.cuda"] = w.libcudaError()
	case w.nvml.CUDA > 0:
		d.CUDA, sources["driver.cuda"] = cudaVersion(w.nvml.CUDA), sourceNVML
	case w.smi.CUDA != "":
		d.CUDA, sources["driver.cuda"] = w.smi.CUDA, sourceSMI
	default:
		unknown["driver.cuda"] = w.libcudaError()
	}
	switch {
	case w.files.stub || w.cuda.Code == stubCode:
		d.Libcuda = ""
		unknown["driver.libcuda"] = fmt.Sprintf("%s is a stub for linking: a program that loads it finds no driver (CUDA error 34)", w.files.libcuda)
	case w.files.libcuda == "":
		unknown["driver.libcuda"] = sonameCUDA + " not found"
	case d.Libcuda == "":
		unknown["driver.libcuda"] = "the file name of " + w.files.libcuda + " holds no version"
	default:
		sources["driver.libcuda"] = "the file name of " + w.files.libcuda
	}
	return d
}

// stubCode is CUDA_ERROR_STUB_LIBRARY.
const stubCode = 34

func (w *witnesses) libcudaError() string {
	if w.files.libcuda == "" {
		return w.cuda.Error
	}
	return w.files.libcuda + ": " + w.cuda.Error
}

// cudaVersion writes 12040 as "12.4".
func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// gpus lists the driver's GPUs and then those that only the bus shows. It is
// empty where there is none, and nil where nobody could say.
func (w *witnesses) gpus(d *facts.Driver, env, unknown, sources map[string]string) []facts.GPU {
	answers, listed, source := w.nvml.GPUs, w.nvml.Error == "", sourceNVML
	if !listed && w.devices.GPUs != nil {
		answers, listed, source = w.devices.GPUs, true, sourceLibcuda
	}
	if !listed && w.smi.GPUs != nil && w.smiErr == "" {
		answers, listed, source = w.smi.GPUs, true, sourceSMI
	}
	if !listed && d != nil && d.Kernel != "" {
		answers, source = w.bound(), "the PCI bus and /proc/driver/nvidia/gpus"
	} else if !listed {
		source = "the PCI bus"
	}
	seen, unsure := visible(answers, env)
	if unsure != "" {
		unknown["gpus.visible"] = unsure
	}
	gpus := []facts.GPU{}
	for i, a := range answers {
		for field, why := range a.Unknown {
			key := fmt.Sprintf("gpus[%d]", i)
			if field != "" {
				key += "." + field
			}
			unknown[key] = why
		}
		if a.Idle {
			unknown[fmt.Sprintf("gpus[%d].mig", i)] = "MIG is on and has no instance, so no CUDA program sees this GPU"
		}
		gpus = append(gpus, facts.GPU{Index: i, Name: a.Name, CC: a.CC, UUID: a.UUID, Memory: a.Memory,
			Visible: seen[i] && !a.Idle, MIG: a.MIG, MIGs: a.MIGs, PCI: a.PCI, PCIID: w.idAt(a.PCI)})
	}
	for _, b := range w.bus {
		if slices.ContainsFunc(answers, func(a gpuAnswer) bool { return a.PCI == b.Address }) {
			continue
		}
		if g, why, ok := w.busOnly(b, d); ok {
			g.Index = len(gpus)
			unknown[fmt.Sprintf("gpus[%d].cc", g.Index)] = why
			gpus = append(gpus, g)
		}
	}
	// WSL shows its GPU on no PCI bus: an empty bus proves nothing there.
	if !listed && len(gpus) == 0 && (!w.busSeen || slices.Contains(w.where, whereWSL2)) {
		unknown["gpus"] = w.nvml.Error + "; " + w.smiErr
		if w.devices.Code != 0 {
			unknown["gpus"] += "; libcuda: " + w.devices.Error
		}
		return nil
	}
	if sources["gpus"] = source; len(gpus) > len(answers) && source == sourceNVML {
		sources["gpus"] += ", and the PCI bus for what it does not list"
	}
	return gpus
}

// idAt is the vendor and device number at an address of the bus.
func (w *witnesses) idAt(address string) string {
	for _, b := range w.bus {
		if b.Address == address {
			return b.ID
		}
	}
	return ""
}

// bound are the bus's GPUs that the loaded kernel driver has taken, for when
// the driver's libraries do not list them. In a container /sys shows the whole
// machine, and /proc/driver/nvidia/gpus, where the model stands, its own GPUs.
func (w *witnesses) bound() []gpuAnswer {
	var out []gpuAnswer
	for _, b := range w.bus {
		if b.Driver == "nvidia" && (b.Model != "" || !slices.Contains(w.where, whereContainer)) {
			out = append(out, gpuAnswer{Name: b.Model, PCI: b.Address,
				Unknown: map[string]string{"cc": w.nvml.Error, "uuid": w.nvml.Error, "memory": w.nvml.Error}})
		}
	}
	return out
}

// busOnly judges a GPU on the bus that the driver does not list.
func (w *witnesses) busOnly(b busGPU, d *facts.Driver) (g facts.GPU, why string, ok bool) {
	g = facts.GPU{Name: b.Model, PCI: b.Address, PCIID: b.ID}
	switch {
	case b.Driver == "nvidia" && slices.Contains(w.where, whereContainer):
		// /sys shows the whole machine; the container was given other GPUs.
		return g, "", false
	case b.Driver == "nvidia":
		return g, "the driver has taken it and does not list it", true
	case b.Driver != "":
		return g, "the kernel gave it to " + b.Driver, true
	case d != nil && d.Kernel != "":
		g.Dropped = true
		return g, fmt.Sprintf("on the PCI bus, and driver %s did not take it", d.Kernel), true
	default:
		return g, "on the PCI bus, and no driver is loaded", true
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

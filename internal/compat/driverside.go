package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// NotGiven is why a simulated host does not know a fact.
const NotGiven = "not given"

// Keys of facts.Host.Unknown that carry more than "not known".
const (
	// UnknownDriver: without a Driver it says why none was found; with NotGiven
	// the question was left open.
	UnknownDriver = "driver"
	// UnknownLibcuda: the library's version could not be read; where the text
	// says "stub" it is the toolkit's stub, and "not found" is that.
	UnknownLibcuda = "driver.libcuda"
	// UnknownGPUs says why the GPUs could not be listed.
	UnknownGPUs = "gpus"
)

// driverSide judges the driver itself, for every GPU program alike.
func (t *Table) driverSide(p *prepared) {
	v := &p.hostSide
	if s := p.Env["CUDA_FORCE_PTX_JIT"]; s != "" && s != "0" {
		v.doubt(facts.Reason{Code: facts.UnknownFact, Sure: "measured", Fix: "unset CUDA_FORCE_PTX_JIT",
			Text: "CUDA_FORCE_PTX_JIT makes the driver pass over machine code, and what then runs is not judged."})
	}
	why := p.Unknown[UnknownDriver]
	if strings.Contains(p.Unknown[UnknownLibcuda]+why, "stub") {
		v.refuse(facts.Reason{Code: facts.StubLibcuda, CUDAError: 34, Sure: "measured",
			Fix:  "take the toolkit's lib64/stubs folder out of LD_LIBRARY_PATH, so that the driver's own libcuda.so.1 is found",
			Text: "The libcuda.so.1 that programs find is the CUDA toolkit's stub, not the driver's library."})
		return
	}
	// Where the kernel module did not take a GPU, that is why libcuda finds none.
	if d := p.Driver; d != nil && d.InitError != 0 && (d.InitError != 100 || !slices.ContainsFunc(p.GPUs, func(g facts.GPU) bool { return g.Dropped })) {
		t.initFailed(p)
		return
	}
	switch d := p.Driver; {
	case d == nil && why == NotGiven:
		v.doubt(facts.Reason{Code: facts.UnknownFact, Sure: "false", Fix: "give --driver VERSION", Text: "The driver is not known (" + NotGiven + "), and every GPU program depends on it."})
	case d == nil:
		if why == "" {
			why = "no libcuda.so.1 and no kernel module"
		}
		v.refuse(facts.Reason{Code: facts.NoDriver, CUDAError: 35, Sure: "measured",
			Fix:  "install the NVIDIA driver; in a container, start it with the GPU passed through (docker run --gpus all)",
			Text: fmt.Sprintf("No NVIDIA driver was found (%s).", why)})
	case d.Libcuda == "" && d.CUDA == "" && strings.Contains(p.Unknown[UnknownLibcuda], "not found"):
		v.refuse(facts.Reason{Code: facts.NoDriver, CUDAError: 35, Have: &facts.Need{Driver: d.Kernel}, Sure: "measured",
			Fix:  "install the driver's user-mode libraries of the same version, or pass them into the container (docker run --gpus all)",
			Text: fmt.Sprintf("The kernel module %s is loaded but its libcuda.so.1 cannot be used (%s).", d.Kernel, p.Unknown[UnknownLibcuda])})
	case d.Libcuda == "" && d.CUDA == "" && d.Kernel == "":
		v.doubt(facts.Reason{Code: facts.UnknownFact, Sure: "false", Fix: "run llcuda-run doctor on the host, or give --driver VERSION",
			Text: "The driver's version is not known, and every GPU program depends on it."})
	default:
		t.halves(p, d)
	}
}

// initFailed explains what libcuda itself answered when it was started.
func (t *Table) initFailed(p *prepared) {
	d := p.Driver
	r := facts.Reason{CUDAError: d.InitError, Have: &facts.Need{CUDA: d.CUDA, Driver: d.Libcuda}, Sure: "measured"}
	said := fmt.Sprintf("libcuda %s was started and answered CUDA error %d", d.Libcuda, d.InitError)
	if e, ok := t.ErrorByCode(d.InitError); ok {
		said += " (" + strings.TrimSuffix(e.Text, ".") + ")"
		r.Code = e.Reason
	}
	switch d.InitError {
	case 803:
		r.Fix = fixHalves
	case 804:
		r.Fix = fixCompat
	case 100:
		r.Fix = "see whether nvidia-smi lists the GPU; in a container, start it with the GPU passed through (docker run --gpus all)"
	case 802:
		r.Fix = "start nvidia-fabricmanager in the driver's version: systemctl start nvidia-fabricmanager"
	default:
		r.Fix = "reboot, or reload the kernel modules (nvidia, nvidia_uvm); dmesg may say more"
	}
	r.Text = said + ": no program can use the GPU so."
	if r.Code == "" { // a number that no code of ours stands for
		r.Code, r.Text = facts.NoDriver, said+"; the driver is there and does not work."
	}
	p.hostSide.refuse(r)
}

// Cures that more than one rule names.
const (
	fixHalves = "reboot (or reload the kernel module) after a driver upgrade; in a container, remove the libcuda.so.1 that the image brings"
	fixCompat = "take the cuda-compat folder (/usr/local/cuda/compat) out of LD_LIBRARY_PATH and use the driver's own libcuda"
)

// halves compares the driver's kernel module and its libcuda.
func (t *Table) halves(p *prepared, d *facts.Driver) {
	kernel, user := version(d.Kernel), version(d.Libcuda)
	if !kernel.Known() || !user.Known() {
		return
	}
	have := &facts.Need{CUDA: d.CUDA, Driver: d.Libcuda}
	switch {
	case !d.Compat && kernel.Compare(user) != 0 && !p.on("wsl2"): // WSL's libcuda has the version of its own
		p.hostSide.refuse(facts.Reason{Code: facts.DriverMismatch, CUDAError: 803, Need: &facts.Need{Driver: d.Kernel}, Have: have, Sure: "doc",
			Fix:  fixHalves,
			Text: fmt.Sprintf("The kernel module is %s and libcuda is %s: the two halves of the driver do not go together.", d.Kernel, d.Libcuda)})
	case d.Compat && !user.Less(kernel):
		t.base(p, d, kernel)
	case d.Compat:
		p.hostSide.doubt(facts.Reason{Code: facts.UnknownFact, Have: have, Sure: "false", Fix: "take the cuda-compat folder out of LD_LIBRARY_PATH: the driver's own libcuda is newer",
			Text: fmt.Sprintf("The forward-compat libcuda %s is older than the kernel module %s; whether that works is not established.", d.Libcuda, d.Kernel)})
	}
}

// base holds the kernel module under a forward-compat libcuda against the
// branches that NVIDIA's own images of that CUDA accept.
func (t *Table) base(p *prepared, d *facts.Driver, kernel Version) {
	bases := t.CompatBases(p.driver.Low)
	for _, b := range bases {
		if version(b).Major() == kernel.Major() {
			return
		}
	}
	if cuda, _ := t.CUDAOf(d.Kernel); bases == nil || p.driver.Low.Compare(version(cuda)) <= 0 {
		return // not recorded; or the module's own branch knows that CUDA
	}
	p.hostSide.doubt(facts.Reason{Code: facts.UnknownFact, Have: &facts.Need{CUDA: d.CUDA, Driver: d.Libcuda}, Sure: "false", Fix: fixCompat,
		Text: fmt.Sprintf("The forward-compat libcuda %s runs over the kernel module %s, and NVIDIA's images of CUDA %s accept branches %s only: it may answer CUDA error 803.",
			d.Libcuda, d.Kernel, p.driver.Low, strings.Join(bases, ", "))})
}

func (p *prepared) on(mark string) bool {
	for _, w := range p.Where {
		if w == mark {
			return true
		}
	}
	return false
}

// gpuSide judges one visible GPU before any candidate: is it known, does the
// kernel driver still know it, does it allow a forward-compat libcuda.
func (t *Table) gpuSide(p *prepared, g facts.GPU) gpu {
	out := gpu{GPU: g}
	cc, err := ParseCC(g.CC)
	out.cc, out.known = cc, err == nil
	if !out.known {
		if out.Name == "" {
			out.Name = t.NameByPCI(g.PCIID)
		}
		if cc, ok := t.CCByName(out.Name); ok {
			out.cc, out.known = cc, true
			out.note(facts.Reason{Code: facts.UnknownFact, Sure: t.Facts.GPUs.Verified, Text: fmt.Sprintf("%s did not tell its compute capability; by its name it is %s.", out.title(), cc)})
		} else {
			out.doubt(facts.Reason{Code: facts.UnknownFact, Sure: "false", Fix: "give --sm, or run nvidia-smi --query-gpu=compute_cap --format=csv",
				Text: fmt.Sprintf("The compute capability of %s is not known.", out.title())})
			return out
		}
	}
	if p.Driver == nil {
		return out
	}
	t.generation(p, &out)
	if p.Driver.Compat {
		t.compat(p, &out)
	}
	return out
}

// generation checks that this driver and this GPU ever went together.
func (t *Table) generation(p *prepared, g *gpu) {
	kernel := version(p.Driver.Kernel)
	if !kernel.Known() && !p.Driver.Compat {
		kernel = p.driver.Libcuda
	}
	if !kernel.Known() {
		return
	}
	if last, arch, sure := t.LastBranch(g.cc); last != "" && t.branchOf(kernel) > version(last).Major() {
		g.refuse(dropped(g.title(), arch, last, kernel.String(), sure))
		return
	}
	// The first driver is host data: a driver that lists the GPU knows it.
	if p.Driver.Source != SourceGiven {
		return
	}
	if first, sure := t.FirstDriver(g.cc); first != "" && kernel.Less(version(first)) {
		g.refuse(facts.Reason{Code: facts.DriverTooOld, Need: &facts.Need{Driver: first}, Have: &facts.Need{CUDA: p.Driver.CUDA, Driver: kernel.String()}, Sure: sure,
			Fix:  "update the driver to " + first + " or newer",
			Text: fmt.Sprintf("Driver %s does not know a GPU of compute capability %s; the first that does is %s.", kernel, g.cc, first)})
	} else if isa, _ := t.MinISA(g.cc.SM()); first == "" && isa != "" {
		// No record: but a driver that does not know the target can hardly know the chip.
		if d := t.isas[isa]; p.driver.High.Known() && p.driver.High.Less(d.cuda) {
			g.doubt(facts.Reason{Code: facts.UnknownFact, Have: &facts.Need{CUDA: p.Driver.CUDA, Driver: kernel.String()}, Need: &facts.Need{CUDA: d.cuda.String()}, Sure: "false",
				Fix:  "give a driver that reports CUDA " + d.cuda.String() + " or newer",
				Text: fmt.Sprintf("The first driver that knows a GPU of compute capability %s is not recorded; CUDA %s is the first with a target for it, and driver %s reports %s.", g.cc, d.cuda, kernel, p.driver.High)})
		}
	}
}

func dropped(title, arch, last, driver, sure string) facts.Reason {
	if arch != "" {
		arch = " (" + arch + ")"
	}
	r := facts.Reason{Code: facts.GPUDropped, CUDAError: 100, Have: &facts.Need{Driver: driver}, Sure: sure}
	if last == "" {
		r.Text, r.Fix = fmt.Sprintf("The loaded driver %s does not support %s%s any more.", driver, title, arch), "install an older driver branch that lists this GPU"
		return r
	}
	r.Need = &facts.Need{Driver: last}
	r.Text = fmt.Sprintf("Driver %s does not support %s%s any more: branch %s was the last.", driver, title, arch, last)
	r.Fix = "install a driver of branch " + last
	return r
}

// droppedGPU explains a GPU on the bus that the loaded driver did not take.
func (t *Table) droppedGPU(p *prepared, g facts.GPU) facts.Reason {
	last, arch, sure, kernel := "", "", "doc", ""
	if g.Name == "" {
		g.Name = t.NameByPCI(g.PCIID)
	}
	cc, err := ParseCC(g.CC)
	known := err == nil
	if !known {
		cc, known = t.CCByName(g.Name)
	}
	if known {
		last, arch, sure = t.LastBranch(cc)
	}
	if p.Driver != nil {
		kernel = p.Driver.Kernel
	}
	if known && last == "" || last != "" && version(kernel).Known() && t.branchOf(version(kernel)) <= version(last).Major() {
		// This driver's branch does support such a GPU: it was not taken for another reason.
		return facts.Reason{Code: facts.NoDriver, Have: &facts.Need{Driver: kernel}, Sure: "false",
			Fix:  "see what the kernel says of it: dmesg | grep -i nvrm (the open kernel modules need Turing or newer)",
			Text: fmt.Sprintf("%s is on the PCI bus and the loaded driver %s did not take it, although its branch supports it.", gpuTitle(g), kernel)}
	}
	return dropped(gpuTitle(g), arch, last, kernel, sure)
}

// compat: a forward-compat libcuda works on NVIDIA's data center GPUs.
func (t *Table) compat(p *prepared, g *gpu) {
	yes, known := t.Datacenter(g.Name)
	switch {
	case yes || t.isTegra(g.cc):
	case known:
		g.refuse(facts.Reason{Code: facts.CompatNotSupported, CUDAError: 804, Have: &facts.Need{CUDA: p.Driver.CUDA, Driver: p.Driver.Libcuda}, Sure: "doc",
			Fix:  fixCompat,
			Text: fmt.Sprintf("The libcuda %s in use is a forward-compat one, which %s does not support.", p.Driver.Libcuda, g.title())})
	default:
		g.doubt(facts.Reason{Code: facts.UnknownFact, Sure: "false", Fix: "take the cuda-compat folder out of LD_LIBRARY_PATH",
			Text: fmt.Sprintf("The libcuda %s in use is a forward-compat one; whether %s supports that is not known.", p.Driver.Libcuda, g.title())})
	}
}

func (g gpu) title() string { return gpuTitle(g.GPU) }

func gpuTitle(g facts.GPU) string {
	if g.Name == "" {
		return fmt.Sprintf("GPU %d", g.Index)
	}
	return fmt.Sprintf("GPU %d (%s)", g.Index, g.Name)
}

// noGPU says so where there is nothing to judge.
func (t *Table) noGPU(p *prepared) {
	v := &p.hostSide
	for _, g := range p.GPUs {
		if g.Dropped && len(p.gpus) == 0 {
			v.refuse(t.droppedGPU(p, g))
		}
	}
	if len(p.gpus) > 0 || v.refused && len(p.GPUs) > 0 {
		return
	}
	switch {
	case p.GPUs == nil && p.Driver == nil && v.refused: // no driver: nothing could be listed
	case p.GPUs == nil:
		why := p.Unknown[UnknownGPUs]
		if why == "" {
			why = NotGiven
		}
		v.doubt(facts.Reason{Code: facts.UnknownFact, Sure: "false", Fix: "give --sm, or run llcuda-run doctor", Text: fmt.Sprintf("The GPUs are not known (%s).", why)})
	case len(p.GPUs) == 0 && p.Driver != nil && p.Driver.InitError == 100: // libcuda's own word for it
	case len(p.GPUs) == 0:
		v.refuse(facts.Reason{Code: facts.NoGPU, CUDAError: 100, Sure: "measured", Fix: "use a machine with an NVIDIA GPU, or ask for the CPU build: --cpu",
			Text: "There is no NVIDIA GPU on this host."})
	case slices.ContainsFunc(p.GPUs, idle):
		v.refuse(facts.Reason{Code: facts.NoGPU, CUDAError: 100, Sure: "doc", Fix: "create an instance (nvidia-smi mig -cgi PROFILE -C; nvidia-smi mig -lgip lists profiles), or switch MIG off: nvidia-smi -mig 0",
			Text: "MIG is on and has no instance, so no CUDA program sees a GPU here."})
	case !p.set("CUDA_VISIBLE_DEVICES"):
		v.refuse(facts.Reason{Code: facts.NoGPU, CUDAError: 100, Sure: "false", Fix: "see what the kernel says of it: dmesg | grep -i nvrm",
			Text: "The driver shows no GPU of this host to CUDA programs."})
	default:
		v.refuse(facts.Reason{Code: facts.NoGPU, CUDAError: 100, Sure: "measured", Fix: "unset CUDA_VISIBLE_DEVICES, or name in it the GPU to use",
			Text: "Every NVIDIA GPU of this host is hidden by CUDA_VISIBLE_DEVICES."})
	}
}

// idle is a GPU that only MIG instances could show, and has none.
func idle(g facts.GPU) bool { return g.MIG && !g.Visible && len(g.MIGs) == 0 }

func (p *prepared) set(variable string) bool { _, ok := p.Env[variable]; return ok }

// jitSide checks what compiling PTX needs on the host.
func jitSide(v *verdict, g gpu, h *prepared) {
	for _, name := range []string{"CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT"} {
		if s := h.Env[name]; s != "" && s != "0" {
			v.refuse(facts.Reason{Code: facts.JITMissing, CUDAError: 223, Sure: "measured", Fix: "unset " + name,
				Text: fmt.Sprintf("PTX for compute capability %s cannot be compiled here: %s forbids it.", g.cc, name)})
		}
	}
	// Where the driver's folder was looked through, its compiler is listed beside libcuda.
	if h.Driver != nil && h.Driver.Dir != "" && onHost(h.Libs, sonameLibcuda) != nil && onHost(h.Libs, sonameJIT) == nil {
		v.refuse(facts.Reason{Code: facts.JITMissing, CUDAError: 221, Need: &facts.Need{Library: sonameJIT}, Sure: "measured",
			Fix:  "install or mount the driver's " + sonameJIT + " (in a container: NVIDIA_DRIVER_CAPABILITIES=compute,utility)",
			Text: fmt.Sprintf("PTX for compute capability %s cannot be compiled here: the driver's compiler for it, %s, is not beside libcuda in %s.", g.cc, sonameJIT, h.Driver.Dir)})
	}
}

const (
	sonameLibcuda = "libcuda.so.1"
	sonameJIT     = "libnvidia-ptxjitcompiler.so.1"
)

//go:build linux && cgo

package host

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

typedef struct { char bytes[16]; } uuid;
static int call_version(void *f, int *v) { return ((int (*)(int *))f)(v); }
static int call_init(void *f) { return ((int (*)(unsigned))f)(0); }
static int call_count(void *f, int *n) { return ((int (*)(int *))f)(n); }
static int call_get(void *f, int *d, int i) { return ((int (*)(int *, int))f)(d, i); }
static int call_text(void *f, char *s, int n, int d) { return ((int (*)(char *, int, int))f)(s, n, d); }
static int call_attribute(void *f, int *v, int a, int d) { return ((int (*)(int *, int, int))f)(v, a, d); }
static int call_memory(void *f, size_t *n, int d) { return ((int (*)(size_t *, int))f)(n, d); }
static int call_uuid(void *f, uuid *u, int d) { return ((int (*)(uuid *, int))f)(u, d); }
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// libcuda is a loaded libcuda.
type libcuda struct{ lib unsafe.Pointer }

func (l libcuda) symbol(names ...string) unsafe.Pointer {
	for _, name := range names {
		s := C.CString(name)
		f := C.dlsym(l.lib, s)
		C.free(unsafe.Pointer(s))
		if f != nil {
			return f
		}
	}
	return nil
}

// loadLibcuda asks a libcuda for the CUDA version it speaks, which needs no GPU,
// no kernel driver and no cuInit; with devices it is started and lists them.
func loadLibcuda(path string, devices bool) answer {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	l := libcuda{C.dlopen(name, C.RTLD_LAZY|C.RTLD_LOCAL)}
	if l.lib == nil {
		return answer{Error: "loading: " + C.GoString(C.dlerror())}
	}
	f := l.symbol("cuDriverGetVersion")
	if f == nil {
		return answer{Error: "it has no cuDriverGetVersion"}
	}
	var v C.int
	if rc := C.call_version(f, &v); rc != 0 {
		a := answer{Error: fmt.Sprintf("cuDriverGetVersion returned CUDA error %d", int(rc)), Code: int(rc)}
		if rc == stubCode {
			a.Error = "it is a stub for linking, not a driver (CUDA error 34)"
		}
		return a
	}
	a := answer{CUDA: int(v)}
	if devices {
		l.devices(&a)
	}
	return a
}

// devices starts the library and lists what it shows. No context is created.
func (l libcuda) devices(a *answer) {
	call := func(what string, rc C.int) bool {
		if rc != 0 {
			a.Error, a.Code = fmt.Sprintf("%s returned CUDA error %d", what, int(rc)), int(rc)
		}
		return rc == 0
	}
	start, count, get := l.symbol("cuInit"), l.symbol("cuDeviceGetCount"), l.symbol("cuDeviceGet")
	if start == nil || count == nil || get == nil {
		a.Error = "it has no cuInit, cuDeviceGetCount or cuDeviceGet"
		return
	}
	var n C.int
	if !call("cuInit", C.call_init(start)) || !call("cuDeviceGetCount", C.call_count(count, &n)) {
		return
	}
	a.GPUs = []gpuAnswer{}
	for i := range n {
		var d C.int
		if rc := C.call_get(get, &d, i); rc != 0 {
			a.GPUs = append(a.GPUs, gpuAnswer{Unknown: map[string]string{"": fmt.Sprintf("cuDeviceGet returned CUDA error %d", int(rc))}})
			continue
		}
		a.GPUs = append(a.GPUs, l.device(d))
	}
}

// Attributes of a device, as cuda.h numbers them.
const (
	attributeMajor = 75
	attributeMinor = 76
)

func (l libcuda) device(d C.int) gpuAnswer {
	g := gpuAnswer{Unknown: map[string]string{}}
	// ask calls f unless the library lacks it, and keeps why a field stays unknown.
	ask := func(field string, f unsafe.Pointer, call func(unsafe.Pointer) C.int) bool {
		rc := C.int(-1)
		if f != nil {
			if rc = call(f); rc == 0 {
				return true
			}
		}
		g.Unknown[field] = "libcuda does not tell"
		if rc > 0 {
			g.Unknown[field] = fmt.Sprintf("libcuda answered CUDA error %d", int(rc))
		}
		return false
	}
	var text [256]C.char
	if ask("name", l.symbol("cuDeviceGetName"), func(f unsafe.Pointer) C.int { return C.call_text(f, &text[0], 255, d) }) {
		g.Name = C.GoString(&text[0])
	}
	var major, minor C.int
	if ask("cc", l.symbol("cuDeviceGetAttribute"), func(f unsafe.Pointer) C.int {
		if rc := C.call_attribute(f, &major, attributeMajor, d); rc != 0 {
			return rc
		}
		return C.call_attribute(f, &minor, attributeMinor, d)
	}) {
		g.CC = fmt.Sprintf("%d.%d", int(major), int(minor))
	}
	var size C.size_t
	if ask("memory", l.symbol("cuDeviceTotalMem_v2", "cuDeviceTotalMem"), func(f unsafe.Pointer) C.int { return C.call_memory(f, &size, d) }) {
		g.Memory = int64(size) //nolint:gosec // bytes of one GPU
	}
	var u C.uuid
	if ask("uuid", l.symbol("cuDeviceGetUuid_v2", "cuDeviceGetUuid"), func(f unsafe.Pointer) C.int { return C.call_uuid(f, &u, d) }) {
		b := C.GoBytes(unsafe.Pointer(&u), 16)
		kind := "GPU"
		if g.MIG = strings.Contains(g.Name, " MIG "); g.MIG { // the instance that a process was given
			kind = "MIG"
		}
		g.UUID = fmt.Sprintf("%s-%x-%x-%x-%x-%x", kind, b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	if ask("pci", l.symbol("cuDeviceGetPCIBusId"), func(f unsafe.Pointer) C.int { return C.call_text(f, &text[0], 255, d) }) {
		g.PCI = pciAddress(C.GoString(&text[0]))
	}
	return g
}

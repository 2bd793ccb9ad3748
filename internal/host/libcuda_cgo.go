//go:build linux && cgo

package host

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

typedef int (*version_fn)(int *);
static int call_version(void *f, int *v) { return ((version_fn)f)(v); }
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// loadLibcuda asks a libcuda for the CUDA version it speaks. The question needs
// no GPU, no kernel driver and no cuInit.
func loadLibcuda(path string) answer {
	name, symbol := C.CString(path), C.CString("cuDriverGetVersion")
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(symbol))
	lib := C.dlopen(name, C.RTLD_LAZY|C.RTLD_LOCAL)
	if lib == nil {
		return answer{Error: "loading: " + C.GoString(C.dlerror())}
	}
	f := C.dlsym(lib, symbol)
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
	return answer{CUDA: int(v)}
}

//go:build linux && cgo

package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// libcudaOrin is a libcuda that starts and shows one Jetson Orin, unless
// CUDA_VISIBLE_DEVICES hides it: the list must be of all devices.
const libcudaOrin = `
#include <stdlib.h>
#include <string.h>
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuInit(unsigned f) { return 0; }
int cuDeviceGetCount(int *n) { const char *o = getenv("CUDA_DEVICE_ORDER"); *n = getenv("CUDA_VISIBLE_DEVICES") || !o || strcmp(o, "PCI_BUS_ID") ? 0 : 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = 40 + i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Orin", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : -1; return d == 40 ? 0 : 101; }
int cuDeviceTotalMem_v2(unsigned long *n, int d) { *n = 32094883840ul; return 0; }
int cuDeviceGetUuid(unsigned char *u, int d) { for (int i = 0; i < 16; i++) u[i] = i; return 0; }
int cuDeviceGetPCIBusId(char *s, int n, int d) { return 801; }
`

func TestLibcudaSpeaksWhereThereIsNoNVML(t *testing.T) {
	m := newMachine(t)
	m.lib("/usr/lib/aarch64-linux-gnu/libcuda.so.1.1", libcudaOrin)
	m.link("/usr/lib/aarch64-linux-gnu/libcuda.so.1", "libcuda.so.1.1")
	m.kernel("540.4.0")
	m.env["CUDA_VISIBLE_DEVICES"] = "-1"
	h := m.read()
	if h.Driver == nil || h.Driver.Source != "libcuda" || h.Driver.CUDA != "12.6" || h.Driver.Kernel != "540.4.0" || h.Driver.InitError != 0 {
		t.Errorf("driver %+v", h.Driver)
	}
	want := []facts.GPU{{Name: "Orin", CC: "8.7", UUID: "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f", Memory: 32094883840}}
	if diff := cmp.Diff(want, h.GPUs); diff != "" {
		t.Errorf("GPUs (-want +got):\n%s", diff)
	}
	if why := h.Unknown["gpus[0].pci"]; !strings.Contains(why, "801") {
		t.Errorf("no reason for an unknown bus address in %v", h.Unknown)
	}
}

// What libcuda answers when it is started is a fact of its own: versions alone
// would not tell.
func TestALibcudaThatCannotStartSaysWithWhichError(t *testing.T) {
	for _, code := range []int{100, 803, 804, 999} {
		m := newMachine(t)
		m.libcuda("/usr/lib64", "550.54.15", 12040)
		m.lib("/opt/lib/libcuda.so.550.54.15", strings.ReplaceAll(`int cuDriverGetVersion(int *v) { *v = 12040; return 0; }
int cuInit(unsigned f) { return CODE; }
int cuDeviceGetCount(int *n) { return 3; }
int cuDeviceGet(int *d, int i) { return 3; }`, "CODE", map[int]string{100: "100", 803: "803", 804: "804", 999: "999"}[code]))
		m.link("/opt/lib/libcuda.so.1", "libcuda.so.550.54.15")
		m.env["LD_LIBRARY_PATH"] = "/opt/lib"
		m.gpu("0000:00:04.0", "nvidia")
		m.kernel("550.54.15")
		if h := m.read(); h.Driver == nil || h.Driver.InitError != code || h.Driver.CUDA != "12.4" {
			t.Errorf("%d: driver %+v", code, h.Driver)
		}
	}
}

func TestAGPUOnTheBusTellsItsNumber(t *testing.T) {
	m := newMachine(t)
	m.gpu("0000:05:00.0", "")
	m.put("/sys/bus/pci/devices/0000:05:00.0/device", "0x15f8\n")
	m.kernel("590.44.01")
	h := m.read()
	if len(h.GPUs) != 1 || h.GPUs[0].PCIID != "10de:15f8" || !h.GPUs[0].Dropped {
		t.Errorf("%+v", h.GPUs)
	}
}

func TestPythonsOfPATHAndTheirPackages(t *testing.T) {
	m := newMachine(t)
	wheel := func(site string) string {
		m.put(site+"/nvidia/cublas/lib/libcublas.so.12", site)
		m.dir(site + "/nvidia_cublas_cu12-12.4.5.8.dist-info")
		return site + "/nvidia/cublas/lib/libcublas.so.12"
	}
	m.put("/opt/py313/bin/python3", "")
	m.link("/work/env/bin/python3", "/opt/py313/bin/python3") // a virtual environment that is not activated by name
	m.put("/conda/envs/ml/bin/python3", "")
	m.put("/conda/envs/ml/lib/libcublas.so.12.6.4.1", "conda's own")
	m.link("/conda/envs/ml/lib/libcublas.so.12", "libcublas.so.12.6.4.1")
	want := []string{
		"/conda/envs/ml/lib/libcublas.so.12",
		wheel("/work/env/lib/python3.13/site-packages"),
		wheel("/opt/py313/lib/python3.13/site-packages"),
		wheel("/usr/lib/python3/dist-packages"),
		wheel("/home/u/.local/lib/python3.11/site-packages"),
		wheel("/srv/packages"),
	}
	m.env["PATH"] = "/work/env/bin:/conda/envs/ml/bin:relative/bin:/usr/bin"
	m.env["HOME"], m.env["PYTHONPATH"] = "/home/u", "/srv/packages:rel"
	var got []string
	for _, l := range m.read().Libs {
		got = append(got, l.Path)
		if l.Version == "" {
			t.Errorf("%s has no version", l.Path)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("libraries (-want +got):\n%s", diff)
	}
}

func TestLibgompIsLookedFor(t *testing.T) {
	m := newMachine(t)
	if h := m.read(); cmp.Diff([]string{"libgomp.so.1"}, h.Lacks) != "" {
		t.Errorf("lacks %v", h.Lacks)
	}
	m.put("/usr/lib64/libgomp.so.1.0.0", "")
	m.link("/usr/lib64/libgomp.so.1", "libgomp.so.1.0.0")
	h := m.read()
	if h.Lacks != nil || len(h.Libs) != 1 || h.Libs[0].Soname != "libgomp.so.1" {
		t.Errorf("lacks %v, libraries %v", h.Lacks, h.Libs)
	}
}

func TestTheCompilerOfADriverIsFoundAsLibcudaFindsIt(t *testing.T) {
	m := newMachine(t)
	m.put("/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.54.15", "")
	m.link("/usr/lib64/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.54.15")
	m.put("/usr/lib/x86_64-linux-gnu/libnvidia-ptxjitcompiler.so.1", "") // in another folder, and the loader's
	m.kernel("550.54.15")
	found := false
	for _, l := range m.read().Libs {
		found = found || l.Soname == "libnvidia-ptxjitcompiler.so.1"
	}
	if !found {
		t.Error("not found")
	}
}

package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// The child program of the tests is the test program itself.
const probeVariable = "LLCUDA_TEST_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(probeVariable) != "" {
		if err := Probe(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// machine is a whole host in a folder.
type machine struct {
	t    *testing.T
	root string
	env  map[string]string
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, root: t.TempDir(), env: map[string]string{probeVariable: "1"}}
	m.dir("/sys/bus/pci/devices")
	m.put("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse4_2 avx f16c fma avx2 bmi2 avx512f amx_tile\n")
	return m
}

func (m *machine) dir(p string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Join(m.root, p), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) put(p, content string) {
	m.t.Helper()
	m.dir(filepath.Dir(p))
	if err := os.WriteFile(filepath.Join(m.root, p), []byte(content), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) link(p, target string) {
	m.t.Helper()
	m.dir(filepath.Dir(p))
	if err := os.Symlink(target, filepath.Join(m.root, p)); err != nil {
		m.t.Fatal(err)
	}
}

// lib compiles a real shared library into the machine.
func (m *machine) lib(p, source string, args ...string) {
	m.t.Helper()
	m.dir(filepath.Dir(p))
	c := exec.CommandContext(m.t.Context(), "cc", append([]string{"-shared", "-fPIC", "-x", "c", "-", "-o", filepath.Join(m.root, p)}, args...)...)
	c.Stdin = strings.NewReader(source)
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("cc: %v\n%s", err, out)
	}
}

// libcuda installs a libcuda of a version that reports a CUDA number.
func (m *machine) libcuda(dir, version string, cuda int) {
	m.lib(dir+"/libcuda.so."+version, fmt.Sprintf("int cuDriverGetVersion(int *v) { *v = %d; return 0; }", cuda))
	m.link(dir+"/libcuda.so.1", "libcuda.so."+version)
}

// gpu puts an NVIDIA GPU on the PCI bus, bound to a kernel driver or to none.
func (m *machine) gpu(address, driver string) {
	dir := "/sys/bus/pci/devices/" + address
	m.put(dir+"/vendor", "0x10de\n")
	m.put(dir+"/class", "0x030200\n")
	if driver != "" {
		m.dir("/sys/bus/pci/drivers/" + driver)
		m.link(dir+"/driver", "../../drivers/"+driver)
	}
}

func (m *machine) kernel(version string) {
	m.put("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "+version+"  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc\n")
}

func (m *machine) options() Options {
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	return Options{Root: m.root, Env: m.env, Self: []string{self}, Timeout: 20 * time.Second}
}

func (m *machine) read() facts.Host {
	m.t.Helper()
	return Read(m.t.Context(), m.options())
}

// nvmlT4 is a libnvidia-ml.so.1 of a machine with one Tesla T4.
const nvmlT4 = `
#include <string.h>
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci;
int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned f) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *v, unsigned n) { strncpy(v, "535.104.05", n); return 0; }
int nvmlSystemGetCudaDriverVersion(int *v) { *v = 12020; return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)16; return 0; }
int nvmlDeviceGetName(void *d, char *s, unsigned n) { strncpy(s, "Tesla T4", n); return 0; }
int nvmlDeviceGetUUID(void *d, char *s, unsigned n) { strncpy(s, "GPU-5a6b", n); return 0; }
int nvmlDeviceGetCudaComputeCapability(void *d, int *a, int *b) { *a = 7; *b = 5; return 0; }
int nvmlDeviceGetMemoryInfo(void *d, unsigned long long *m) { m[0] = 15843721216ULL; m[1] = m[0]; m[2] = 0; return 0; }
int nvmlDeviceGetPciInfo_v3(void *d, pci *p) { memset(p, 0, sizeof *p); strcpy(p->bus_id, "00000000:00:04.0"); return 0; }
int nvmlDeviceGetMigMode(void *d, unsigned *a, unsigned *b) { return 3; }
`

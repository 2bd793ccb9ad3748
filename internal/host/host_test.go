package host

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

func TestAMachineWithoutGPUAndDriver(t *testing.T) {
	h := newMachine(t).read()
	if h.Driver != nil {
		t.Errorf("driver %+v", h.Driver)
	}
	if h.GPUs == nil || len(h.GPUs) != 0 {
		t.Errorf("GPUs %#v, want none and known to be none", h.GPUs)
	}
	if why := h.Unknown["driver"]; !strings.HasPrefix(why, "no NVIDIA driver found") {
		t.Errorf("the driver is nil because %q", why)
	}
	if why, ok := h.Unknown["gpus"]; ok {
		t.Errorf("GPUs are unknown: %s", why)
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"gpus":[]`) {
		t.Errorf("JSON: %s", data)
	}
	if diff := cmp.Diff([]string{"sse4_2", "avx", "f16c", "fma", "bmi2", "avx2", "avx512f", "amx_tile"}, h.CPU); diff != "" {
		t.Errorf("CPU:\n%s", diff)
	}
}

func TestADeviceNodeIsNoGPU(t *testing.T) {
	m := newMachine(t)
	m.put("/dev/nvidiactl", "")
	if h := m.read(); len(h.GPUs) != 0 || h.Driver != nil {
		t.Errorf("GPUs %v, driver %v", h.GPUs, h.Driver)
	}
}

func TestColabsT4ThroughRealLibraries(t *testing.T) {
	m := newMachine(t)
	m.libcuda("/usr/lib64-nvidia", "535.104.05", 12020)
	m.lib("/usr/lib64-nvidia/libnvidia-ml.so.535.104.05", nvmlT4)
	m.link("/usr/lib64-nvidia/libnvidia-ml.so.1", "libnvidia-ml.so.535.104.05")
	m.put("/usr/lib64-nvidia/libnvidia-ptxjitcompiler.so.535.104.05", "")
	m.link("/usr/lib64-nvidia/libnvidia-ptxjitcompiler.so.1", "/usr/lib64-nvidia/libnvidia-ptxjitcompiler.so.535.104.05")
	m.kernel("535.104.05")
	m.gpu("0000:00:04.0", "nvidia")
	m.env["COLAB_RELEASE_TAG"] = "release-colab_20250219"
	m.env["CUDA_VISIBLE_DEVICES"] = "0"

	h := m.read()
	want := facts.Host{
		Platform: h.Platform,
		Driver: &facts.Driver{Kernel: "535.104.05", Libcuda: "535.104.05", CUDA: "12.2", Source: "nvml",
			Dir: "/usr/lib64-nvidia", DirNeeded: true},
		GPUs: []facts.GPU{{Name: "Tesla T4", CC: "7.5", UUID: "GPU-5a6b", Memory: 15843721216, Visible: true, PCI: "0000:00:04.0"}},
		CPU:  h.CPU,
		Env:  map[string]string{"CUDA_VISIBLE_DEVICES": "0"},
		Libs: []facts.HostLib{
			{Soname: "libcuda.so.1", Path: "/usr/lib64-nvidia/libcuda.so.1", Version: "535.104.05", DirNeeded: true},
			{Soname: "libnvidia-ptxjitcompiler.so.1", Path: "/usr/lib64-nvidia/libnvidia-ptxjitcompiler.so.1", Version: "535.104.05", DirNeeded: true}},
		Lacks: []string{"libgomp.so.1"},
		Where: []string{"colab"},
		Sources: map[string]string{"cpu": "/proc/cpuinfo", "driver.kernel": "/proc/driver/nvidia/version", "driver.cuda": "libcuda (/usr/lib64-nvidia/libcuda.so.1)",
			"driver.libcuda": "the file name of /usr/lib64-nvidia/libcuda.so.1", "gpus": "nvml", "libs": "folders of the loader, of toolkits and of Python's packages"},
		Unknown: map[string]string{"libc": "libc.so.6 not found", "glibcxx": "libstdc++.so.6 not found"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
}

func TestDriverFolders(t *testing.T) {
	for name, c := range map[string]struct {
		dir    string
		needed bool
	}{
		"a Debian multiarch folder": {"/usr/lib/x86_64-linux-gnu", false},
		"the loader's lib64":        {"/usr/lib64", false},
		"Colab's":                   {"/usr/lib64-nvidia", true},
		"WSL's":                     {"/usr/lib/wsl/lib", true},
		"old containers'":           {"/usr/local/nvidia/lib64", true},
		"NixOS's":                   {"/run/opengl-driver/lib", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.put(c.dir+"/libcuda.so.550.54.15", "")
			m.link(c.dir+"/libcuda.so.1", "libcuda.so.550.54.15")
			d := findDriver(tree{m.root}, newLoader(tree{m.root}, nil))
			if d.dir != c.dir || d.dirNeeded != c.needed || d.version != "550.54.15" {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestACompatLibcudaIsToldFromTheDriversOwn(t *testing.T) {
	m := newMachine(t)
	m.libcuda("/usr/lib64", "535.104.05", 12020)
	m.libcuda("/usr/local/cuda-12.8/compat", "570.124.06", 12080)
	m.link("/usr/local/cuda", "cuda-12.8")
	m.link("/opt/driver", "/usr/local/cuda/compat") // the name alone does not tell
	m.kernel("535.104.05")
	m.env["LD_LIBRARY_PATH"] = "/opt/driver"
	d := m.read().Driver
	want := &facts.Driver{Kernel: "535.104.05", Libcuda: "570.124.06", CUDA: "12.8", Compat: true, Source: "libcuda", Dir: "/usr/lib64"}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("driver (-want +got):\n%s", diff)
	}
}

func TestAStubIsNoDriver(t *testing.T) {
	for name, install := range map[string]func(*machine){
		"by its folder": func(m *machine) {
			m.libcuda("/usr/local/cuda/lib64/stubs", "999.0.0", 13000)
			m.env["LD_LIBRARY_PATH"] = "/usr/local/cuda/lib64/stubs"
		},
		"by its answer": func(m *machine) {
			m.lib("/usr/lib64/libcuda.so.1", "int cuDriverGetVersion(int *v) { return 34; }")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			install(m)
			h := m.read()
			if h.Driver == nil {
				t.Fatal("no driver")
			}
			if h.Driver.Libcuda != "" || !strings.Contains(h.Unknown["driver.libcuda"], "CUDA error 34") {
				t.Errorf("driver %+v, unknown %v", h.Driver, h.Unknown)
			}
		})
	}
}

func TestAProbeThatDiesOrHangsIsAReason(t *testing.T) {
	for name, c := range map[string]struct {
		source  string
		timeout time.Duration
		want    string
	}{
		"a crash": {"#include <stdio.h>\n#include <signal.h>\nint cuDriverGetVersion(int *v) { fputs(\"Xid 79\\n\", stderr); signal(SIGABRT, SIG_DFL); raise(SIGKILL); return 0; }",
			20 * time.Second, "it died of signal 9 (killed): Xid 79"},
		"a segmentation fault": {"int cuDriverGetVersion(int *v) { *(volatile int *)8 = 1; return 0; }", 20 * time.Second, "SIGSEGV"},
		"an exit":              {"#include <stdlib.h>\nint cuDriverGetVersion(int *v) { exit(3); }", 20 * time.Second, "exit status 3"},
		"a hang":               {"#include <unistd.h>\nint cuDriverGetVersion(int *v) { for (;;) pause(); }", 300 * time.Millisecond, "no answer within 300ms"},
		"a missing symbol":     {"int x;", 20 * time.Second, "it has no cuDriverGetVersion"},
		"garbage on stdout":    {"#include <stdio.h>\n#include <stdlib.h>\nint cuDriverGetVersion(int *v) { puts(\"hello\"); exit(0); }", 20 * time.Second, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.lib("/usr/lib64/libcuda.so.535.104.05", c.source)
			m.link("/usr/lib64/libcuda.so.1", "libcuda.so.535.104.05")
			o := m.options()
			o.Timeout = c.timeout
			h := Read(t.Context(), o)
			if h.Driver == nil || h.Driver.Libcuda != "535.104.05" || h.Driver.CUDA != "" {
				t.Errorf("driver %+v", h.Driver)
			}
			if why := h.Unknown["driver.cuda"]; !strings.Contains(why, c.want) {
				t.Errorf("reason %q, want %q", why, c.want)
			}
		})
	}
}

func TestNVMLThatCannotBeLoadedIsAskedNothingMore(t *testing.T) {
	m := newMachine(t)
	m.put("/usr/lib64/libnvidia-ml.so.1", "not a library")
	m.kernel("580.159.04")
	m.gpu("0000:81:00.0", "nvidia")
	m.put("/proc/driver/nvidia/gpus/0000:81:00.0/information", "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 1\n")
	h := m.read()
	want := []facts.GPU{{Name: "NVIDIA H100 80GB HBM3", Visible: true, PCI: "0000:81:00.0"}}
	if diff := cmp.Diff(want, h.GPUs); diff != "" {
		t.Errorf("GPUs (-want +got):\n%s", diff)
	}
	if !strings.Contains(h.Unknown["gpus[0].cc"], "the library could not be loaded (12)") {
		t.Errorf("unknown %v", h.Unknown)
	}
	if h.Driver.Source != "proc" || h.Driver.Kernel != "580.159.04" {
		t.Errorf("driver %+v", h.Driver)
	}
}

func TestGPUsThatTheDriverDoesNotShow(t *testing.T) {
	m := newMachine(t)
	m.lib("/usr/lib64/libnvidia-ml.so.1", nvmlT4)
	m.kernel("590.44.01")
	m.gpu("0000:00:04.0", "nvidia")
	m.gpu("0000:05:00.0", "")         // a P100: the driver did not take it
	m.gpu("0000:06:00.0", "vfio-pci") // given to a virtual machine
	m.gpu("0000:07:00.0", "nvidia")   // lost
	m.put("/sys/bus/pci/devices/0000:00:04.1/vendor", "0x10de\n")
	m.put("/sys/bus/pci/devices/0000:00:04.1/class", "0x040300\n") // its sound
	h := m.read()
	var got []string
	for _, g := range h.GPUs {
		line := g.PCI + " "
		if g.Visible {
			line += "visible"
		}
		if g.Dropped {
			line += "dropped"
		}
		got = append(got, line)
	}
	want := []string{"0000:00:04.0 visible", "0000:05:00.0 dropped", "0000:06:00.0 ", "0000:07:00.0 "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("GPUs (-want +got):\n%s", diff)
	}
	if why := h.Unknown["gpus[2].cc"]; !strings.Contains(why, "vfio-pci") {
		t.Errorf("reason %q", why)
	}

	m.put("/.dockerenv", "")
	if h := m.read(); len(h.GPUs) != 3 {
		t.Errorf("in a container another container's GPU is listed: %+v", h.GPUs)
	}
}

func TestAGPUWithoutAnyDriver(t *testing.T) {
	m := newMachine(t)
	m.gpu("0000:01:00.0", "nouveau")
	h := m.read()
	if h.Driver != nil || len(h.GPUs) != 1 || h.GPUs[0].Visible || h.GPUs[0].Dropped {
		t.Errorf("driver %v, GPUs %+v", h.Driver, h.GPUs)
	}
}

func TestNvidiaSmiSpeaksWhereNVMLDoesNot(t *testing.T) {
	for name, c := range map[string]struct{ header, driver, cuda string }{
		"through branch 595": {"| NVIDIA-SMI 580.82.07   Driver Version: 580.82.07   CUDA Version: 13.0     |", "580.82.07", "13.0"},
		"from branch 610 on": {"| NVIDIA-SMI 610.43.02   KMD Version: 610.43.02   CUDA UMD Version: 13.3     |", "610.43.02", "13.3"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.put("/opt/bin/nvidia-smi", "#!/bin/sh\ncase $1 in\n--query-gpu=*) echo '0, Tesla T4, GPU-1, 7.5, 15360, 00000000:00:04.0, [N/A]'; echo '1, NVIDIA A100, GPU-2, 8.0, [N/A], 00000000:00:05.0, Enabled';;\n*) cat <<E\n"+c.header+"\nE\n;;\nesac\n")
			m.put("/usr/lib64/libcuda.so."+c.driver, "not a library")
			m.link("/usr/lib64/libcuda.so.1", "libcuda.so."+c.driver)
			h := m.read()
			want := &facts.Driver{Kernel: c.driver, Libcuda: c.driver, CUDA: c.cuda, Source: "nvidia-smi", Dir: "/usr/lib64"}
			if diff := cmp.Diff(want, h.Driver); diff != "" {
				t.Errorf("driver (-want +got):\n%s", diff)
			}
			gpus := []facts.GPU{
				{Index: 0, Name: "Tesla T4", CC: "7.5", UUID: "GPU-1", Memory: 15360 << 20, Visible: true, PCI: "0000:00:04.0"},
				{Index: 1, Name: "NVIDIA A100", CC: "8.0", UUID: "GPU-2", Visible: true, MIG: true, PCI: "0000:00:05.0"}}
			if diff := cmp.Diff(gpus, h.GPUs); diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
			if h.Unknown["gpus[1].memory"] == "" {
				t.Errorf("no reason for an unknown memory in %v", h.Unknown)
			}
		})
	}
}

func TestNvidiaSmisComplaintIsTheReason(t *testing.T) {
	m := newMachine(t)
	m.env["PATH"] = "/bin:/usr/bin"
	m.put("/usr/bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'\nexit 9\n")
	if h := m.read(); !strings.Contains(h.Unknown["driver"], "could not communicate with the NVIDIA driver") {
		t.Errorf("unknown %v", h.Unknown)
	}
}

func TestWSLWithoutAnswersDoesNotSayThereIsNoGPU(t *testing.T) {
	m := newMachine(t)
	m.put("/proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n")
	m.libcuda("/usr/lib/wsl/lib", "1.1", 12060)
	h := m.read()
	if h.GPUs != nil || h.Unknown["gpus"] == "" {
		t.Errorf("GPUs %#v, unknown %v", h.GPUs, h.Unknown)
	}
	if h.Driver == nil || h.Driver.CUDA != "12.6" || h.Driver.Libcuda != "" || h.Unknown["driver.libcuda"] == "" || !h.Driver.DirNeeded {
		t.Errorf("driver %+v, unknown %v", h.Driver, h.Unknown)
	}
	if diff := cmp.Diff([]string{"wsl2"}, h.Where); diff != "" {
		t.Error(diff)
	}
}

func TestLibcAndLibstdcxxAsALoaderMeasuresThem(t *testing.T) {
	m := newMachine(t)
	m.put("/v/libc.map", "GLIBC_2.2.5 { };\nGLIBC_2.9 { };\nGLIBC_2.31 { f; };\nGLIBC_PRIVATE { };\n")
	m.put("/v/cxx.map", "GLIBCXX_3.4 { };\nGLIBCXX_3.4.9 { };\nGLIBCXX_3.4.28 { f; };\nCXXABI_1.3.12 { };\nGLIBCXX_TUNABLES { };\n")
	m.lib("/usr/lib64/libc.so.6", "void f(void) {}", "-nostdlib", "-Wl,--version-script="+m.root+"/v/libc.map")
	m.lib("/opt/gcc/libstdc++.so.6", "void f(void) {}", "-nostdlib", "-Wl,--version-script="+m.root+"/v/cxx.map")
	m.env["LD_LIBRARY_PATH"] = "relative::/opt/gcc"
	if h := m.read(); h.Libc != "2.31" || h.Glibcxx != "3.4.28" {
		t.Errorf("libc %q, libstdc++ %q, unknown %v", h.Libc, h.Glibcxx, h.Unknown)
	}
}

func TestMuslIsNamed(t *testing.T) {
	m := newMachine(t)
	m.put("/lib/ld-musl-x86_64.so.1", "")
	if h := m.read(); !strings.Contains(h.Unknown["libc"], "musl") {
		t.Errorf("unknown %v", h.Unknown)
	}
}

func TestCUDALibrariesOnTheHost(t *testing.T) {
	m := newMachine(t)
	m.put("/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcublas.so.12.8.4.1", "a")
	m.link("/usr/local/cuda-12.8/targets/x86_64-linux/lib/libcublas.so.12", "libcublas.so.12.8.4.1")
	m.link("/usr/local/cuda-12.8/lib64", "targets/x86_64-linux/lib")
	m.link("/usr/local/cuda", "/usr/local/cuda-12.8")
	m.put("/usr/local/cuda-12.8/targets/x86_64-linux/lib/stubs/libcublas.so.12", "a stub")
	m.put("/usr/local/lib/python3.11/dist-packages/nvidia/cublas/lib/libcublas.so.12", "b")
	m.put("/usr/local/lib/python3.11/dist-packages/nvidia/cublas/lib/libnvblas.so.12", "no")
	m.dir("/usr/local/lib/python3.11/dist-packages/nvidia_cublas_cu12-12.4.5.8.dist-info")
	m.put("/usr/local/lib/python3.11/dist-packages/nvidia/cuda_runtime/lib/libcudart.so.12", "c")
	m.dir("/usr/local/lib/python3.11/dist-packages/nvidia_cuda_runtime_cu12-12.4.127.dist-info")
	m.put("/venv/lib/python3.13/site-packages/nvidia/cu13/lib/libcublas.so.13", "d")
	m.put("/usr/lib64/libcudart.so.11.0", "e")
	m.env["VIRTUAL_ENV"] = "/venv"
	want := []facts.HostLib{
		{Soname: "libcudart.so.11.0", Path: "/usr/lib64/libcudart.so.11.0"},
		{Soname: "libcublas.so.12", Path: "/usr/local/cuda/lib64/libcublas.so.12", Version: "12.8.4.1", DirNeeded: true},
		{Soname: "libcublas.so.13", Path: "/venv/lib/python3.13/site-packages/nvidia/cu13/lib/libcublas.so.13", DirNeeded: true},
		{Soname: "libcublas.so.12", Path: "/usr/local/lib/python3.11/dist-packages/nvidia/cublas/lib/libcublas.so.12", Version: "12.4.5.8", DirNeeded: true},
		{Soname: "libcudart.so.12", Path: "/usr/local/lib/python3.11/dist-packages/nvidia/cuda_runtime/lib/libcudart.so.12", Version: "12.4.127", DirNeeded: true},
	}
	if diff := cmp.Diff(want, m.read().Libs); diff != "" {
		t.Errorf("libraries (-want +got):\n%s", diff)
	}
}

func TestLibrariesThatTheLoaderFindsByItself(t *testing.T) {
	m := newMachine(t)
	m.put("/usr/local/cuda/lib64/libcudart.so.12.8.90", "a")
	m.link("/usr/local/cuda/lib64/libcudart.so.12", "libcudart.so.12.8.90")
	m.put("/usr/local/cuda/lib64/libcublas.so.12", "b")
	m.put("/usr/lib64/libcublas.so.12", "c")
	m.put("/opt/mine/libcublasLt.so.12", "d")
	m.env["LD_LIBRARY_PATH"] = "/opt/mine"
	m.put("/etc/ld.so.cache", string(newCache([]cacheEntry{{cacheLibc6 | cacheX8664, "libcudart.so.12", "/usr/local/cuda/lib64/libcudart.so.12"}})))
	needed := map[string]bool{}
	for _, l := range m.read().Libs {
		needed[l.Path] = l.DirNeeded
	}
	want := map[string]bool{
		"/usr/local/cuda/lib64/libcudart.so.12": false, // in the cache
		"/usr/lib64/libcublas.so.12":            false, // in a default folder
		"/usr/local/cuda/lib64/libcublas.so.12": true,  // another one of the name is found first
		"/opt/mine/libcublasLt.so.12":           true,  // a server does not inherit LD_LIBRARY_PATH
	}
	if diff := cmp.Diff(want, needed); diff != "" {
		t.Errorf("the folder is needed (-want +got):\n%s", diff)
	}
}

func TestWhere(t *testing.T) {
	m := newMachine(t)
	m.put("/proc/1/cgroup", "0::/kubepods/besteffort/pod1\n")
	m.env["KAGGLE_KERNEL_RUN_TYPE"] = "Interactive"
	if diff := cmp.Diff([]string{"container", "kaggle"}, m.read().Where); diff != "" {
		t.Error(diff)
	}
}

func TestModuleVersions(t *testing.T) {
	for text, want := range map[string]string{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023":                         "535.104.05",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (dvs-builder@U22)  Tue Jan 6": "580.159.04",
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  455.23  Thu":                                                      "455.23",
		"something else": "",
		"":               "",
	} {
		if got := parseProcVersion(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// BenchmarkRead is what reading this machine costs but for asking its driver.
func BenchmarkRead(b *testing.B) {
	env := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"}
	for b.Loop() {
		Read(b.Context(), Options{Env: env})
	}
}

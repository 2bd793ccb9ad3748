package serve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARealCPUServerIsRead(t *testing.T) {
	b := ReadBackends(realLog(t, "cpu-verbose"))
	want := Backends{Told: true,
		Devices: []Device{{"CPU", "Intel(R) Xeon(R) Processor"}},
		Buffers: []Buffer{{"CPU_Mapped", 0.25}}}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Error(diff)
	}
	if b.OnGPU() || !strings.Contains(b.String(), "CPU") {
		t.Errorf("says %q", b)
	}
}

func TestAFailedBackendIsRead(t *testing.T) {
	b := ReadBackends(realLog(t, "backend-lacks-cudart"))
	want := []string{"/bundle/libggml-cuda.so: libcudart.so.12: cannot open shared object file: No such file or directory"}
	if diff := cmp.Diff(want, b.Failures); diff != "" {
		t.Error(diff)
	}
}

// gpuLog is put together from the format strings of common.cpp and
// llama-model.cpp of de3ff81.
var gpuLog = []string{
	"0.00.013.059 I cmn  common_param: device_info:",
	"0.00.013.069 I cmn  common_param:   - CUDA0   : Tesla T4 (15095 MiB, 14992 MiB free)",
	"0.00.013.070 I cmn  common_param:   - CUDA1   : NVIDIA L4 (24576 MiB, 22491 MiB free)",
	"0.00.013.071 I cmn  common_param:   - CPU     : Intel(R) Xeon(R) Processor (24105 MiB, 24105 MiB free)",
	"0.00.019.663 I load_tensors: offloading output layer to GPU",
	"0.00.019.663 I load_tensors: offloading 2 repeating layers to GPU",
	"0.00.019.663 I load_tensors: offloaded 3/3 layers to GPU",
	"0.00.019.822 I load_tensors:   CPU_Mapped model buffer size =     0.05 MiB",
	"0.00.019.823 I load_tensors:        CUDA0 model buffer size =     0.25 MiB",
}

func TestAGPUServerIsRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		onGPU bool
		says  string
	}{
		{"all layers on two GPUs", gpuLog, true, "3 of 3 layers on CUDA0 (Tesla T4), CUDA1 (NVIDIA L4)"},
		{"a GPU and no layer on it", append(gpuLog[:4:4], "0.0 I load_tensors: offloaded 0/3 layers to GPU"), false, "no layer on a GPU, though CUDA0 (Tesla T4), CUDA1 (NVIDIA L4) is there"},
		{"only a CPU", append(gpuLog[:1:1], gpuLog[3]), false, "on the CPU: the server sees no GPU"},
		{"silence", nil, false, "did not say"},
		{"a draft model after the model", append(gpuLog[:7:7], "0.0 I load_tensors: offloaded 0/2 layers to GPU"), true, "3 of 3 layers"},
		{"a model named like a line", append(gpuLog[:1:1], gpuLog[3], "0.0 I llama_model_loader: - kv 1: general.name str = x - CUDA0 : y (1 MiB, 1 MiB free)"), false, "on the CPU"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := ReadBackends(c.lines)
			if b.OnGPU() != c.onGPU || !strings.Contains(b.String(), c.says) {
				t.Errorf("says %q: %+v", b, b)
			}
		})
	}
}

func TestTheAddressIsReadFromItsLineAlone(t *testing.T) {
	for line, want := range map[string]string{
		"0.00.028.347 I srv  llama_server: listening on http://127.0.0.1:34775":                                   "http://127.0.0.1:34775",
		"srv  llama_server: listening on http://[::1]:8080":                                                       "http://[::1]:8080",
		"0.00.019.933 I srv  llama_server: listening on unix:///run/x.sock":                                       "unix:///run/x.sock",
		"main: server is listening on http://127.0.0.1:8080 - starting the main loop":                             "http://127.0.0.1:8080",
		"\x1b[34m0.00.1\x1b[0m \x1b[32mI \x1b[0msrv  llama_server: listening on https://0.0.0.0:1":                "https://0.0.0.0:1",
		`{"type":"log","time":21569,"level":"info","msg":"srv  llama_server: listening on http://127.0.0.1:5\n"}`: "http://127.0.0.1:5",
		"0.0 I llama_model_loader: - kv   1: general.name str = x: listening on http://evil:80":                   "",
		"0.0 I print_info: general.name = srv  llama_server: listening on http://evil:80":                         "",
	} {
		o := newOutput()
		o.add(line)
		if got, _ := o.state(); got != want {
			t.Errorf("%q gave %q, want %q", line, got, want)
		}
	}
}

func TestOnlyTheFirstAndLastLinesAreKept(t *testing.T) {
	o := newOutput()
	s := &stream{to: o}
	for i := range 1000 {
		if _, err := s.Write([]byte(strings.Repeat("x", i) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = s.Write([]byte(strings.Repeat("long", 10*maxLine) + "\nno end"))
	s.flush()
	last := o.last()
	if len(last) != tailLines || last[tailLines-1] != "no end" || len(last[tailLines-2]) != maxLine || len(last[0]) != 802 {
		t.Errorf("%d lines, the first of %d bytes, the last %q", len(last), len(last[0]), last[len(last)-1])
	}
	if all := o.all(); len(all) != headLines+tailLines || all[3] != "xxx" {
		t.Errorf("%d lines in all", len(all))
	}
}

package serve

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// The files are what llama-server of llama.cpp de3ff81 (2026-09-28, CPU) wrote when it was
// made to fail; only paths were changed.
func TestRealFailuresAreExplained(t *testing.T) {
	cases := []struct{ file, code, text, fix string }{
		{"model-missing", CodeModelMissing, "No such file", "path"},
		{"model-cut-in-weights", CodeModelDamaged, "not within the file bounds", "download"},
		{"model-cut-in-header", CodeModelDamaged, "failed to read key-value pairs", "download"},
		{"model-is-text", CodeModelDamaged, "invalid magic characters: 'hell'", "download"},
		{"model-with-nan", CodeModelDamaged, "invalid data", "download"},
		{"unknown-architecture", CodeModelUnknown, `architecture "lxama"`, "newer release"},
		{"unknown-argument", CodeArgument, "knows no argument --frobnicate", "--help"},
		{"argument-with-equals", CodeArgument, "--port=18124", "--port 18124"},
		{"argument-without-value", CodeArgument, "-ngl: expected value", "--help"},
		{"argument-not-a-number", CodeArgument, "-c: its value is not a number", "--help"},
		{"port-0-for-two", CodeArgument, "several addresses", "--port"},
		{"port-taken", CodePortTaken, "port 18123 of 127.0.0.1", "ss -ltnp"},
		{"missing-library", facts.MissingLibrary, "libllama.so.0 is missing", "install the bundle again"},
		{"no-backend", CodeNoBackend, "none of its backends", "install the bundle again"},
		{"backend-too-short", CodeBackend, "does not load: file too short", "install the bundle again"},
		{"backend-lacks-cudart", facts.MissingLibrary, "GPU backend does not load: the library libcudart.so.12 is missing", "install the bundle"},
		{"backend-lacks-libcuda", facts.NoDriver, "driver library libcuda.so.1 is missing", "NVIDIA driver"},
		{"out-of-memory", CodeOutOfMemory, "not enough memory", "-c 4096"},
		{"cpu-verbose", "", "", ""},
		{"jsonl", "", "", ""},
	}
	seen := map[string]bool{}
	for _, c := range cases {
		seen[c.file+".log"] = true
		t.Run(c.file, func(t *testing.T) {
			d := Diagnose(realLog(t, c.file))
			if d.Code != c.code || !strings.Contains(d.Text, c.text) || !strings.Contains(d.Fix, c.fix) {
				t.Errorf("got %+v", d)
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "real"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("nobody reads %s", f.Name())
		}
	}
}

func realLog(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "real", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

// Without a GPU here, these lines are put together from llama.cpp's format strings
// (ggml-cuda.cu, llama-model.cpp, ggml-alloc.c of de3ff81) and NVIDIA's error texts.
func TestFailuresOfAGPUAreExplained(t *testing.T) {
	aborted := func(text string) []string {
		return []string{
			"0.00.013.069 I srv    load_model: loading model 'm.gguf'",
			"0.01.000.000 E CUDA error: " + text,
			"0.01.000.001 E   current device: 0, in function ggml_cuda_compute_forward at /src/ggml/src/ggml-cuda/ggml-cuda.cu:2421",
			"0.01.000.002 E   err",
			"/src/ggml/src/ggml-cuda/ggml-cuda.cu:107: CUDA error",
		}
	}
	started := func(text string) []string {
		return []string{"0.00.012.585 E ggml_cuda_init: failed to initialize CUDA: " + text}
	}
	for _, c := range []struct {
		name  string
		lines []string
		code  string
		cuda  int
	}{
		{"no driver or one too old", started("CUDA driver version is insufficient for CUDA runtime version"), facts.DriverTooOld, 35},
		{"no GPU", started("no CUDA-capable device is detected"), facts.NoGPU, 100},
		{"a stub", started("CUDA driver is a stub library"), facts.StubLibcuda, 34},
		{"two drivers", started("system has unsupported display driver / cuda driver combination"), facts.DriverMismatch, 803},
		{"forward compatibility", started("forward compatibility was attempted on non supported HW"), facts.CompatNotSupported, 804},
		{"a call that the driver lacks", aborted("API call is not supported in the installed CUDA driver"), facts.CallNeedsNewerDriver, 36},
		{"compressed code", aborted("device kernel image is invalid"), facts.CompressionTooNew, 200},
		{"no code for the GPU", aborted("no kernel image is available for execution on the device"), facts.NoKernelImage, 209},
		{"PTX that is too new", aborted("the provided PTX was compiled with an unsupported toolchain."), facts.PTXISATooNew, 222},
		{"relocatable code without code for the GPU", aborted("named symbol not found"), facts.NoKernelImage, 500},
		{"PTX where it is forbidden", aborted("PTX JIT compilation was disabled"), facts.NoKernelImage, 223},
		{"no compiler", aborted("PTX JIT compiler library not found"), facts.JITMissing, 221},
		{"out of memory in a kernel", aborted("out of memory"), CodeOutOfGPUMemory, 2},
		{"cuBLAS without code for the GPU", aborted("CUBLAS_STATUS_ARCH_MISMATCH"), facts.RuntimeLacksSM, 0},
		{"cuBLAS on a full GPU", aborted("CUBLAS_STATUS_ALLOC_FAILED"), CodeOutOfGPUMemory, 0},
		{"cuBLAS in trouble", aborted("CUBLAS_STATUS_INTERNAL_ERROR"), CodeCUDA, 0},
		{"an abort that came before its reason", []string{"0.00.301.536 I cmn          init: llama threadpool init, n_threads = 1", "./ggml/src/ggml-cuda/ggml-cuda.cu:108: CUDA error"}, CodeUntold, 0},
		{"an error of no list", aborted("an illegal memory access was encountered"), CodeCUDA, 0},
		{"out of memory for weights", []string{
			"0.01.0 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4403.49 MiB on device 0: cudaMalloc failed: out of memory",
			"0.01.0 E alloc_tensor_range: failed to allocate CUDA0 buffer of size 4617398272",
			"0.01.1 E llama_model_load: error loading model: unable to allocate CUDA0 buffer",
		}, CodeOutOfGPUMemory, 2},
		{"an old C library", []string{"/bundle/llama-server: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /bundle/llama-server)"}, facts.GlibcTooOld, 0},
		{"an old C++ library", []string{"/bundle/llama-server: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /bundle/libllama.so.0)"}, facts.LibstdcxxTooOld, 0},
		{"libgomp", []string{"/bundle/llama-server: error while loading shared libraries: libgomp.so.1: cannot open shared object file: No such file or directory"}, facts.MissingLibrary, 0},
		{"a library of another machine", []string{"x: error while loading shared libraries: libx.so: invalid ELF header"}, facts.MissingLibrary, 0},
		{"a symbol that is not there", []string{"/bundle/llama-server: symbol lookup error: /bundle/libllama.so.0: undefined symbol: ggml_x"}, facts.MissingLibrary, 0},
		{"an assertion", []string{"/src/ggml/src/ggml.c:1234: GGML_ASSERT(a == b) failed"}, CodeAssertion, 0},
		{"a model of a newer kind", []string{"0.0 E llama_model_load: error loading model: missing tensor 'blk.0.attn_x.weight'"}, CodeModelUnknown, 0},
		{"coloured output", []string{"\x1b[31mE \x1b[0mggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected\x1b[0m"}, facts.NoGPU, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Diagnose(c.lines)
			if d.Code != c.code || d.CUDAError != c.cuda || d.Text == "" || d.Fix == "" || d.Line == "" {
				t.Errorf("got %+v", d)
			}
			if strings.HasSuffix(d.Text, ".") {
				t.Errorf("%q ends in a full stop", d.Text)
			}
		})
	}
}

func TestSignalsAreExplained(t *testing.T) {
	for sig, code := range map[syscall.Signal]string{
		syscall.SIGILL: facts.CPUISA, syscall.SIGKILL: CodeOutOfMemory, syscall.SIGSEGV: CodeSignal, syscall.SIGHUP: CodeSignal,
	} {
		if d := bySignal(sig); d.Code != code || d.Text == "" {
			t.Errorf("%v gave %+v", sig, d)
		}
	}
}

func FuzzDiagnose(f *testing.F) {
	f.Add("0.0 E CUDA error: out of memory")
	f.Add("error: invalid argument: --a=b")
	f.Add(`{"type":"log","msg":"load_backend: failed to load a: b"}`)
	f.Add("\x1b[0m common_param:   - CUDA0   : x (1 MiB, 1 MiB free)")
	f.Fuzz(func(t *testing.T, log string) {
		lines := strings.Split(log, "\n")
		if d := Diagnose(lines); d.Code != "" && (d.Text == "" || d.Line == "") {
			t.Fatalf("%+v", d)
		}
		_ = ReadBackends(lines).String()
	})
}

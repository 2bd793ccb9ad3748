package serve

import (
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// cudaPrefix is what llama.cpp writes before a CUDA error's text: when it cannot
// start CUDA it goes on without, when a call fails it aborts.
const cudaPrefix = `(?:CUDA error: |failed to initialize CUDA: |cudaMalloc failed: )`

// cudaErrors are the errors that say something about the host or the bundle. The
// texts are NVIDIA's, as cudaGetErrorString gives them (facts/cuda-compat.yaml, measured).
var cudaErrors = []struct {
	number          int
	text, code      string
	sentence, cured string
}{
	{34, "CUDA driver is a stub library", facts.StubLibcuda,
		"the libcuda that was found is a toolkit's stub, not the driver's", "take stubs/ out of the library path, or install the NVIDIA driver"},
	{35, "CUDA driver version is insufficient for CUDA runtime version", facts.DriverTooOld,
		"the NVIDIA driver is older than this bundle's CUDA, or none was found", fixDriver},
	{36, "API call is not supported in the installed CUDA driver", facts.CallNeedsNewerDriver,
		"the NVIDIA driver lacks a call that the bundle makes", fixDriver},
	{46, "CUDA-capable device(s) is/are busy or unavailable", CodeCUDA,
		"the GPU is busy: another program has it for itself", "end that program (nvidia-smi shows it), or leave exclusive mode: nvidia-smi -c DEFAULT"},
	{98, "invalid device function", facts.NoKernelImage,
		"the bundle holds no code for this GPU", fixBundle},
	{100, "no CUDA-capable device is detected", facts.NoGPU,
		"the NVIDIA driver offers no GPU to this program", "check nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, start it with access to the GPU"},
	{101, "invalid device ordinal", facts.NoGPU,
		"a GPU was asked for by a number that does not exist", "check CUDA_VISIBLE_DEVICES and -- --device"},
	{200, "device kernel image is invalid", facts.CompressionTooNew,
		"the driver cannot unpack the bundle's GPU code: it is too old for its compression", fixBundle},
	{209, "no kernel image is available for execution on the device", facts.NoKernelImage,
		"the bundle holds no code for this GPU", fixBundle},
	{218, "a PTX JIT compilation failed", facts.NoKernelImage,
		"the driver could not compile the bundle's code for this GPU", fixBundle},
	{221, "PTX JIT compiler library not found", facts.JITMissing,
		"the driver's compiler (libnvidia-ptxjitcompiler.so.1) is missing", "install the whole driver; in a container, set NVIDIA_DRIVER_CAPABILITIES=compute,utility"},
	{222, "the provided PTX was compiled with an unsupported toolchain", facts.PTXISATooNew,
		"the bundle's code for this GPU is PTX newer than the driver knows", fixBundle},
	{223, "PTX JIT compilation was disabled", facts.NoKernelImage,
		"the bundle has no finished code for this GPU, and CUDA_DISABLE_PTX_JIT forbids to compile it", fixBundle},
	{500, "named symbol not found", facts.NoKernelImage,
		"the bundle's relocatable code holds nothing for this GPU", fixBundle},
	{802, "system not yet initialized", CodeCUDA,
		"the GPUs' fabric is not up", "start nvidia-fabricmanager in the driver's version"},
	{803, "system has unsupported display driver / cuda driver combination", facts.DriverMismatch,
		"the loaded kernel driver and libcuda are of different versions", "reboot after a driver update; in a container, remove the libcuda that the image brought"},
	{804, "forward compatibility was attempted on non supported HW", facts.CompatNotSupported,
		"a cuda-compat libcuda was found, which this GPU may not use", "take cuda-compat out of the library path (often /usr/local/cuda/compat)"},
}

const (
	fixDriver = "update the NVIDIA driver, or let `llcuda-run why` choose a bundle for the one installed"
	fixBundle = "let `llcuda-run why` choose a bundle for this GPU and driver"
)

func cudaError(text string) Diagnosis {
	for _, e := range cudaErrors {
		if strings.HasPrefix(text, e.text) {
			return Diagnosis{Code: e.code, CUDAError: e.number, Text: fmt.Sprintf("%s (CUDA error %d: %s)", e.sentence, e.number, e.text), Fix: e.cured}
		}
	}
	return Diagnosis{Code: CodeCUDA, Text: "CUDA failed: " + text, Fix: "run `llcuda-run doctor`; kernel messages (dmesg, Xid) may say more"}
}

// cublasError explains a status of cuBLAS by the name that llama.cpp prints of it.
func cublasError(status string) Diagnosis {
	switch status {
	case "CUBLAS_STATUS_ARCH_MISMATCH":
		return Diagnosis{Code: facts.RuntimeLacksSM, Text: "the CUDA library cuBLAS has no code for this GPU (" + status + ")", Fix: fixBundle}
	case "CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED":
		return Diagnosis{Code: CodeOutOfGPUMemory, Text: "cuBLAS could not start, most often because the GPU's memory is full (" + status + ")", Fix: fixMemory}
	}
	return Diagnosis{Code: CodeCUDA, Text: "cuBLAS failed: " + status, Fix: "run `llcuda-run doctor`; kernel messages (dmesg, Xid) may say more"}
}

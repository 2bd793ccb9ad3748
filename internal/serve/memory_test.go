package serve

import (
	"slices"
	"strings"
	"testing"
)

// Without a full GPU here, the lines are put together from llama.cpp's format
// strings (ggml-cuda.cu, llama-model.cpp, llama-context.cpp, llama-kv-cache.cpp of
// de3ff81), with the sizes of an 8B model in Q4_K_M.
func TestAFullGPUGetsNumbersToType(t *testing.T) {
	device := "0.00.1 I cmn  common_param:   - CUDA0   : Tesla T4 (15109 MiB, 4000 MiB free)"
	layers := "0.00.2 I print_info: n_layer               = 32"
	loaded := []string{"0.00.3 I load_tensors: offloaded 33/33 layers to GPU", "0.00.3 I load_tensors:        CUDA0 model buffer size =  4403.49 MiB"}
	ctx := "0.00.4 I llama_context: n_ctx                 = 131072"
	weights := []string{
		"0.01.0 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4403.49 MiB on device 0: cudaMalloc failed: out of memory",
		"0.01.0 E alloc_tensor_range: failed to allocate CUDA0 buffer of size 4617398272",
		"0.01.1 E llama_model_load: error loading model: unable to allocate CUDA0 buffer",
	}
	cache := []string{
		"0.01.0 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 16384.00 MiB on device 0: cudaMalloc failed: out of memory",
		"0.01.0 E alloc_tensor_range: failed to allocate CUDA0 buffer of size 17179869184",
		"0.01.1 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
	}
	free := func(mib string) string { return strings.Replace(device, "4000", mib, 1) }
	for _, c := range []struct {
		name  string
		lines []string
		says  string
	}{
		{"weights: as many layers as fit", slices.Concat([]string{device, layers}, weights), "about 22 of the model's 33 layers fit into the 4000 MiB that are free: -- -ngl 22; else put fewer"},
		{"a cache: as much context as fits", slices.Concat([]string{free("14999"), layers}, loaded, []string{ctx}, cache), "a context of 76544 in place of 131072 fits into the 14999 MiB that are free: -- -c 76544; else "},
		{"a cache that leaves no useful context: layers", slices.Concat([]string{free("5500"), layers}, loaded, []string{ctx}, cache), "about 6 of the model's 33 layers fit with that context into the 5500 MiB that are free: -- -ngl 6; else "},
		{"no room at all: nothing is made up", slices.Concat([]string{free("900"), layers}, weights), ""},
		{"two GPUs: nothing is made up", slices.Concat([]string{device, strings.Replace(device, "CUDA0", "CUDA1", 1), layers}, weights), ""},
		{"a log that does not tell", weights, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Diagnose(c.lines)
			if d.Code != CodeOutOfGPUMemory || !strings.HasPrefix(d.Fix, c.says) || !strings.HasSuffix(d.Fix, fixMemory) {
				t.Errorf("got %+v", d)
			}
			if c.says == "" && d.Fix != fixMemory {
				t.Errorf("numbers from nowhere: %s", d.Fix)
			}
		})
	}
}

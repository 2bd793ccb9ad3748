package host

import (
	"slices"
	"strings"
)

// envNames are the variables that change what CUDA sees, loads or compiles, or
// where llama.cpp looks for its backends.
var envNames = [...]string{
	"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_CACHE_DISABLE", "CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT", "CUDA_FORCE_PTX_JIT",
	"CUDA_MODULE_LOADING", "CUDA_HOME", "CUDA_PATH", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
	"LD_LIBRARY_PATH", "LD_PRELOAD", "GGML_BACKEND_PATH", "GGML_CUDA_ENABLE_UNIFIED_MEMORY",
}

func readEnv(env map[string]string) map[string]string {
	out := map[string]string{}
	for _, name := range envNames {
		if v, ok := env[name]; ok {
			out[name] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Marks of Host.Where.
const (
	whereContainer = "container"
	whereWSL2      = "wsl2"
	whereColab     = "colab"
	whereKaggle    = "kaggle"
)

func readWhere(t tree, env map[string]string) []string {
	var out []string
	cgroup := t.text("/proc/1/cgroup")
	if t.exists("/.dockerenv") || t.exists("/run/.containerenv") || env["container"] != "" || env["KUBERNETES_SERVICE_HOST"] != "" ||
		slices.ContainsFunc([]string{"docker", "kubepods", "containerd", "lxc", "libpod"}, func(s string) bool { return strings.Contains(cgroup, s) }) {
		out = append(out, whereContainer)
	}
	if strings.Contains(strings.ToLower(t.text("/proc/sys/kernel/osrelease")), "microsoft") {
		out = append(out, whereWSL2)
	}
	if env["COLAB_RELEASE_TAG"] != "" || env["COLAB_GPU"] != "" || env["COLAB_JUPYTER_IP"] != "" {
		out = append(out, whereColab)
	}
	if env["KAGGLE_KERNEL_RUN_TYPE"] != "" || env["KAGGLE_DATA_PROXY_TOKEN"] != "" {
		out = append(out, whereKaggle)
	}
	return out
}

// cpuFlags are the flags of /proc/cpuinfo that decide between llama.cpp's CPU
// variants.
var cpuFlags = [...]string{
	"sse4_2", "avx", "f16c", "fma", "bmi2", "avx2", "avx_vnni", "avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw",
	"avx512vbmi", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16",
}

// parseCPU returns those of cpuFlags that the first processor has; nil where the
// text has no flags.
func parseCPU(cpuinfo string) []string {
	for line := range strings.Lines(cpuinfo) {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != "flags" {
			continue
		}
		have := strings.Fields(value)
		out := []string{}
		for _, f := range cpuFlags {
			if slices.Contains(have, f) {
				out = append(out, f)
			}
		}
		return out
	}
	return nil
}

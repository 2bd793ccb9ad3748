package serve

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// program is the executable of a bundle.
const program = "llama-server"

// dropped are the variables that a child never inherits, and why.
var dropped = map[string]string{
	"LD_PRELOAD":        "would put foreign code into the server",
	"LD_LIBRARY_PATH":   "would put other libraries before the bundle's",
	"LD_AUDIT":          "would put foreign code into the server",
	"GGML_BACKEND_PATH": "would load a backend that is not the bundle's",
	// libcuda loads what it names.
	"CUDA_INJECTION64_PATH":   "would put foreign code into the server",
	"LLAMA_ARG_MODEL":         "would fight with MODEL",
	"LLAMA_ARG_MODEL_URL":     "would fight with MODEL",
	"LLAMA_ARG_HF_REPO":       "would fight with MODEL",
	"LLAMA_ARG_HF_FILE":       "would fight with MODEL",
	"LLAMA_ARG_DOCKER_REPO":   "would fight with MODEL",
	"LLAMA_ARG_MODELS_DIR":    "would fight with MODEL",
	"LLAMA_ARG_MODELS_PRESET": "would fight with MODEL",
	"LLAMA_ARG_HOST":          "would fight with the address asked for",
	"LLAMA_ARG_PORT":          "would fight with the address asked for",
}

// EnvOptions is what ChildEnv adds.
type EnvOptions struct {
	// Dir is the bundle's folder.
	Dir string
	// LibDirs are folders of CUDA libraries that the bundle takes from this host
	// and the loader would not find. They come after the bundle's.
	LibDirs []string
	// DriverDir is the folder of libcuda where the loader would not find it, else "".
	DriverDir string
	// CUDABackend is the path of the bundle's CUDA backend, "" where it has
	// none. llama.cpp looks for it by itself and keeps silent where it does not
	// load; named in GGML_BACKEND_PATH, it says why. One that did load is not
	// loaded twice.
	CUDABackend string
	// GPUs are the UUIDs or indices of the GPUs to use; nil leaves the choice
	// to CUDA_VISIBLE_DEVICES as inherited.
	GPUs []string
	// HideGPUs hides all GPUs.
	HideGPUs bool
}

// ChildEnv is the environment of the server, made from env ("NAME=value"), and
// the names of the variables that were dropped from it, sorted.
func ChildEnv(env []string, o EnvOptions) (child, gone []string) {
	dirs := slices.Concat([]string{o.Dir}, o.LibDirs)
	if o.DriverDir != "" {
		dirs = append(dirs, o.DriverDir)
	}
	set := map[string]string{"LD_LIBRARY_PATH": strings.Join(dirs, string(filepath.ListSeparator))}
	if o.CUDABackend != "" {
		set["GGML_BACKEND_PATH"] = o.CUDABackend
	}
	switch {
	case o.HideGPUs:
		set["CUDA_VISIBLE_DEVICES"] = "-1"
	case o.GPUs != nil:
		set["CUDA_VISIBLE_DEVICES"] = strings.Join(o.GPUs, ",")
		// The order in which NVML and nvidia-smi count.
		set["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
	}
	traced := false
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if _, bad := dropped[name]; bad {
			gone = append(gone, name)
			continue
		}
		if _, ours := set[name]; ours {
			continue
		}
		traced = traced || name == "GGML_NO_BACKTRACE"
		child = append(child, entry)
	}
	if !traced {
		// Else a failing server attaches gdb to itself, where there is one,
		// and writes pages of backtrace to its output.
		set["GGML_NO_BACKTRACE"] = "1"
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		child = append(child, name+"="+set[name])
	}
	slices.Sort(gone)
	return child, slices.Compact(gone)
}

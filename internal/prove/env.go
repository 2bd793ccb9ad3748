package prove

import "strings"

// unasked are the variables that a proof's servers do not inherit: the user's
// settings of llama-server, which are not what is proved, and switches that turn
// the driver's compiler on or off.
func unasked(name string) bool {
	switch name {
	case "CUDA_FORCE_PTX_JIT", "CUDA_FORCE_JIT", "CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT", "CUDA_CACHE_DISABLE":
		return true
	}
	return strings.HasPrefix(name, "LLAMA_")
}

// proofEnv is the environment of a proof's servers, and what was added to it.
func proofEnv(env []string, native bool) (child, added []string) {
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); !unasked(name) {
			child = append(child, e)
		}
	}
	// A variable and not a flag: a llama-server that does not know it goes on.
	added = []string{"LLAMA_ARG_FIT=off"}
	if native {
		added = append(added, "CUDA_DISABLE_PTX_JIT=1", "CUDA_CACHE_DISABLE=1")
	}
	return append(child, added...), added
}

package host

import (
	"fmt"
	"strconv"
	"strings"
)

// visible decides which of the driver's GPUs a CUDA program sees, as CUDA reads
// CUDA_VISIBLE_DEVICES: ordinals, GPU UUIDs or beginnings of them that fit one
// only, MIG UUIDs; the list ends before the first word that names nothing; set
// and empty means none.
//
// sure is empty, or says why the answer may be wrong: ordinals count CUDA's
// order (fastest first) unless CUDA_DEVICE_ORDER=PCI_BUS_ID, and NVML's order is
// the bus's. Where the GPUs are of one kind both are the same.
func visible(gpus []gpuAnswer, env map[string]string) (seen []bool, sure string) {
	seen = make([]bool, len(gpus))
	list, set := env["CUDA_VISIBLE_DEVICES"]
	if !set {
		for i := range seen {
			seen[i] = true
		}
		return seen, ""
	}
	ordinals, count := false, 0
	for _, word := range strings.Split(list, ",") {
		word = strings.TrimSpace(word)
		i, ordinal, ok := match(gpus, word)
		if !ok {
			break
		}
		if seen[i] && !strings.HasPrefix(word, "MIG-") {
			sure = fmt.Sprintf("CUDA_VISIBLE_DEVICES names GPU %d twice: what CUDA does then is not established", i)
			break
		}
		if !seen[i] {
			count++
		}
		seen[i] = true
		ordinals = ordinals || ordinal
	}
	if ordinals && count < len(gpus) && env["CUDA_DEVICE_ORDER"] != "PCI_BUS_ID" && !alike(gpus) {
		sure = "CUDA_VISIBLE_DEVICES names ordinals, and CUDA counts the fastest GPU first: set CUDA_DEVICE_ORDER=PCI_BUS_ID or name UUIDs"
	}
	return seen, sure
}

// match finds the one GPU that a word of CUDA_VISIBLE_DEVICES names.
func match(gpus []gpuAnswer, word string) (index int, ordinal, ok bool) {
	if n, err := strconv.Atoi(word); err == nil {
		return n, true, n >= 0 && n < len(gpus)
	}
	if !strings.HasPrefix(word, "GPU-") && !strings.HasPrefix(word, "MIG-") {
		return 0, false, false
	}
	// MIG-GPU-<uuid>/gi/ci is the form of drivers before 470.
	parent, old := strings.CutPrefix(word, "MIG-")
	parent, _, _ = strings.Cut(parent, "/")
	old = old && strings.HasPrefix(parent, "GPU-")
	found := -1
	for i, g := range gpus {
		fits := word != "GPU-" && strings.HasPrefix(g.UUID, word) || old && g.UUID == parent
		for _, mig := range g.MIGs {
			fits = fits || word != "MIG-" && strings.HasPrefix(mig, word)
		}
		if !fits {
			continue
		}
		if found >= 0 {
			return 0, false, false
		}
		found = i
	}
	return max(found, 0), false, found >= 0
}

func alike(gpus []gpuAnswer) bool {
	for _, g := range gpus {
		if g.Name == "" || g.Name != gpus[0].Name || g.CC != gpus[0].CC || g.Memory != gpus[0].Memory {
			return false
		}
	}
	return true
}

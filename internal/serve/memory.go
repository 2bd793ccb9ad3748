package serve

import (
	"fmt"
	"strconv"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Lines that tell what a model needs and a GPU has, of llama.cpp de3ff81
// (2026-09-28).
var (
	freeLine   = lazyregexp.New(`- (CUDA[0-9]+) +: .* \([0-9]+ MiB, ([0-9]+) MiB free\)$`)
	blocksLine = lazyregexp.New(`print_info: n_layer += ([0-9]+)$`)
	ctxLine    = lazyregexp.New(`llama_context: n_ctx += ([0-9]+)$`)
	// The request that failed, and for what.
	askedLine = lazyregexp.New(`allocating ([0-9.]+) MiB on device ([0-9]+): cudaMalloc failed`)
	kvFailed  = lazyregexp.New(`failed to allocate buffer for kv cache`)
	weights   = lazyregexp.New(`unable to allocate CUDA[0-9]+ buffer`)
)

const (
	// spareMiB is what is left free: CUDA's own, the buffers for computing. It is
	// what llama.cpp leaves when it fits a model itself.
	spareMiB = 1024
	// leastContext is the shortest context that is proposed; below it a model is of
	// little use, and fewer layers on the GPU are the better cure.
	leastContext = 2048
)

// adviceOf says how many layers, or what context, would fit into the memory that
// was free when the server started; "" where its log does not tell, or several
// GPUs share the model. It ends in "; else ".
func adviceOf(lines []string) string {
	var free, asked, placed float64
	var blocks, ctx int
	var cache, model bool
	gpus := map[string]bool{}
	for _, raw := range lines {
		line := plain(raw)
		if m := freeLine.FindStringSubmatch(line); m != nil {
			gpus[m[1]] = true
			free = float(m[2])
		} else if m := blocksLine.FindStringSubmatch(line); m != nil {
			blocks = int(float(m[1]))
		} else if m := ctxLine.FindStringSubmatch(line); m != nil {
			ctx = int(float(m[1]))
		} else if m := bufferLine.FindStringSubmatch(line); m != nil && gpuName(m[1]) {
			placed = float(m[2]) // the measuring pass prints it too: the last word counts
		} else if m := askedLine.FindStringSubmatch(line); m != nil {
			asked = float(m[1])
		}
		cache, model = cache || kvFailed.MatchString(line), model || weights.MatchString(line)
	}
	if len(gpus) != 1 || asked == 0 {
		return ""
	}
	room := free - spareMiB
	switch {
	case model && blocks > 0:
		// The output counts as one more layer. Layers are about equally large.
		if n := int(room / (asked / float64(blocks+1))); n > 0 && n <= blocks {
			return fmt.Sprintf("about %d of the model's %d layers fit into the %.0f MiB that are free: -- -ngl %d; else ", n, blocks+1, free, n)
		}
	case cache && ctx > 0:
		const step = 256 // llama.cpp rounds a context up to it
		if n := int(float64(ctx)*(room-placed)/asked) / step * step; n >= leastContext && n < ctx {
			return fmt.Sprintf("a context of %d in place of %d fits into the %.0f MiB that are free: -- -c %d; else ", n, ctx, free, n)
		}
		if per := placed / float64(blocks+1); blocks > 0 && placed > 0 {
			// With each layer its part of the cache moves too.
			if n := int(room / (per + asked/float64(blocks))); n > 0 && n <= blocks {
				return fmt.Sprintf("about %d of the model's %d layers fit with that context into the %.0f MiB that are free: -- -ngl %d; else ", n, blocks+1, free, n)
			}
		}
	}
	return ""
}

// float reads digits that an expression matched.
func float(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}

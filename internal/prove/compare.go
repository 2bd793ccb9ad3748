package prove

import (
	"fmt"
	"math"

	"github.com/waqasm86/llcuda/internal/serve"
)

const (
	// Tolerance is how far a log-probability may be from the CPU's, in nats. The
	// two round differently (8-bit activations, half-precision sums): llama.cpp's
	// own CPU variants are up to 0.10 apart here. A kernel that computes garbage is
	// off by whole nats.
	Tolerance = 0.5
	// tokens are written in a proof: the first comes out of the kernels for many
	// tokens at once (the prompt), the others out of those for one.
	tokens = 16
	// compared are the most probable tokens of the CPU that are looked at, listed
	// how many are asked for: each that is looked at is surely among them.
	compared, listed = 8, 64
)

// question has some 130 tokens, one a letter: more than the 16 up to which
// llama.cpp multiplies F16 by kernels of its own, so that cuBLAS is called.
var question = serve.Question{
	Prompt: "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs! " +
		"How vexingly quick daft zebras jump; 0123456789.",
	Tokens: tokens, Top: listed,
}

// Difference is how far an answer is from the one it should be.
type Difference struct {
	// Tokens were compared. Where two tokens are equally good, rounding may take
	// the other one; what follows is another text then and is not compared.
	Tokens int
	// Max is the largest difference of a log-probability, at token At (from 0).
	Max float64
	At  int
}

// compare holds got against want, token by token.
func compare(want, got serve.Answer) Difference {
	d := Difference{}
	for i := range min(len(want.Tokens), len(got.Tokens)) {
		w, g := want.Tokens[i], got.Tokens[i]
		d.Tokens++
		for _, p := range w.Top[:min(compared, len(w.Top))] {
			if off := distance(p, g.Top); off > d.Max {
				d.Max, d.At = off, i
			}
		}
		if w.ID != g.ID {
			break
		}
	}
	return d
}

// distance is how far a token's log-probability is from the one listed, and at
// least how far where it is not listed: it is below all that are.
func distance(p serve.Probability, list []serve.Probability) float64 {
	lowest := math.Inf(1)
	for _, q := range list {
		if q.ID == p.ID {
			return math.Abs(p.LogProb - q.LogProb)
		}
		lowest = min(lowest, q.LogProb)
	}
	return max(0, p.LogProb-lowest)
}

// right says whether a difference is rounding; else why it is not.
func (d Difference) right(whose string) *Failure {
	if d.Tokens > 0 && d.Max <= Tolerance {
		return nil
	}
	return &Failure{
		Code: CodeWrongAnswer,
		Text: fmt.Sprintf("what it computes is wrong: a log-probability of token %d differs from %s by %.2f, and rounding explains %.2f", d.At+1, whose, d.Max, Tolerance),
		Fix:  "check the GPU (nvidia-smi -q -d ECC, dmesg for Xid); if it is sound, the bundle is not: report it",
	}
}

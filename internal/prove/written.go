package prove

import (
	_ "embed" // answer.json
	"encoding/json"
	"fmt"

	"github.com/waqasm86/llcuda/internal/serve"
)

// answerJSON is what llama-server 0.7.0 (Debian forky, build 11669) answered on an x86-64
// CPU with AVX2, the most probable tokens only. `make test-engine` holds it against
// the llama-server that it builds; -update there writes it anew.
//
//go:embed answer.json
var answerJSON []byte

// written is that answer: what a proof on the CPU is held against.
var written = mustAnswer(answerJSON)

func mustAnswer(raw []byte) serve.Answer {
	var a serve.Answer
	if err := json.Unmarshal(raw, &a); err != nil {
		panic(fmt.Sprintf("prove: answer.json: %v", err)) // a mistake in this package
	}
	return a
}

//go:build engine

// These tests prove a real llama-server, of the bundle in LLCUDA_TEST_BUNDLE, on
// the CPU: go test -tags engine ./internal/prove.

package prove

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/waqasm86/llcuda/internal/serve"
)

func realBundle(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LLCUDA_TEST_BUNDLE")
	if dir == "" {
		t.Fatal("set LLCUDA_TEST_BUNDLE to a folder with llama-server in it")
	}
	return dir
}

func TestEngineARealServerAnswersWhatIsWrittenDown(t *testing.T) {
	r, err := Run(t.Context(), Input{Bundle: "cpu", Server: serve.Options{Dir: realBundle(t), Env: os.Environ()}})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		writeAnswer(t, r)
		return
	}
	if !r.Passed {
		t.Fatalf("%+v", r.Devices[0].Failure)
	}
	d := r.Devices[0]
	if d.Compared != tokens || d.Tokens != tokens || d.PromptTokens < 100 || d.PerSecond <= 0 {
		t.Errorf("got %+v", d)
	}
	t.Logf("largest difference %.4f, in %.2f s", d.MaxDifference, r.Seconds)
}

// writeAnswer keeps what is compared, and no more.
func writeAnswer(t *testing.T, r Report) {
	t.Helper()
	a := *r.Reference
	for i := range a.Tokens {
		a.Tokens[i].Top = a.Tokens[i].Top[:compared]
	}
	a.PerSecond, a.PromptPerSecond = 0, 0
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	// A token a line.
	raw = bytes.ReplaceAll(raw, []byte(`]},{`), []byte("]},\n{"))
	if err := os.WriteFile("answer.json", append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A real server without a GPU is what came up on the CPU in silence.
func TestEngineAServerOnTheCPUIsNoProofOfAGPU(t *testing.T) {
	r, err := Run(t.Context(), Input{Bundle: "cpu", Native: true, Devices: []Device{{Index: 0, Name: "Tesla T4", Select: "-1"}},
		Server: serve.Options{Dir: realBundle(t), Env: os.Environ()}})
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Devices[0].Failure; r.Passed || f == nil || f.Code != CodeOnCPU {
		t.Errorf("got %+v, %+v", r, f)
	}
	if r.Reference == nil || compare(written, *r.Reference).right("it") != nil {
		t.Error("the CPU's answer is not what is written down")
	}
}

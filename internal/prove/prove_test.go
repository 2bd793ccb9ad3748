package prove

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/serve"
)

func TestAGPUThatComputesRightIsProved(t *testing.T) {
	t.Parallel()
	r := run(t, input(t, "gpu"))
	if !r.Passed || !r.Native || !hasPrefix(r.Env, "CUDA_DISABLE_PTX_JIT=1") || !hasPrefix(r.Env, "CUDA_CACHE_DISABLE=1") {
		t.Errorf("got %+v", r)
	}
	d := r.Devices[0]
	if !d.Passed || d.Failure != nil || d.Used != "CUDA0 (Tesla T4)" || d.Offloaded != 3 || d.Layers != 3 || d.MiB != 1.25 ||
		d.Compared != tokens || d.MaxDifference != 0 || d.Tokens != tokens || d.PerSecond != 7 || d.Seconds < d.Ready {
		t.Errorf("got %+v", d)
	}
	if r.Reference == nil || len(r.Model.SHA256) != 64 || r.Model.Bytes < 1<<20 || r.Model.Bytes > 4<<20 {
		t.Errorf("got %+v", r)
	}
}

func TestWhatIsWrongOnAGPUFailsTheProofAndIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode, code string
		cuda       int
		text       string
	}{
		{"222", facts.PTXISATooNew, 222, "the provided PTX was compiled with an unsupported toolchain"},
		{"jit", facts.NoKernelImage, 223, "PTX JIT compilation was disabled"},
		{"untold", serve.CodeUntold, 0, "ended before it said with which error"},
		{"later", facts.NoKernelImage, 209, "no kernel image is available for execution on the device"},
		{"nan", CodeNotANumber, 0, "the probabilities of token 1 are not numbers"},
		{"off", CodeWrongAnswer, 0, "a log-probability of token 4 differs from the CPU's by 2.00, and rounding explains 0.50"},
		{"short", CodeNoAnswer, 0, "4 tokens of 16"},
		{"layers", CodeLayers, 0, "only 2 of 3 layers"},
		{"silent", CodeOnCPU, 0, "came up without the GPU, on the CPU"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			in := input(t, c.mode)
			in.Server.Env = append(in.Server.Env, "TMPDIR="+t.TempDir())
			r := run(t, in)
			f := r.Devices[0].Failure
			if r.Passed || r.Devices[0].Passed || f == nil || f.Code != c.code || f.CUDAError != c.cuda || !strings.Contains(f.Text, c.text) {
				t.Fatalf("got %+v", f)
			}
			err := &Error{Bundle: "b", Report: r}
			if !strings.HasPrefix(err.Error(), "bundle b failed its proof on GPU 0 (Tesla T4): ") || err.ExitCode() != 5 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhereTheDriverMayCompileItIsNotForbidden(t *testing.T) {
	t.Parallel()
	in := input(t, "jit")
	in.Native = false
	if r := run(t, in); !r.Passed || r.Native || hasPrefix(r.Env, "CUDA_") {
		t.Errorf("got %+v, %+v", r, r.Devices[0].Failure)
	}
}

func TestTwoEquallyGoodTokensAreNoError(t *testing.T) {
	t.Parallel()
	r := run(t, input(t, "other"))
	if d := r.Devices[0]; !r.Passed || d.Compared != 3 {
		t.Errorf("got %+v", d)
	}
}

func TestEveryGPUIsProvedAloneAndTheUsersSettingsAreLeftOut(t *testing.T) {
	t.Parallel()
	in := input(t, "env")
	in.Devices = []Device{{Index: 0, Name: "A", Select: "GPU-a"}, {Index: 1, Name: "B", Select: "GPU-b"}}
	r := run(t, in)
	// The fake is content with the second one's environment alone.
	if r.Passed || r.Devices[0].Passed || !r.Devices[1].Passed {
		t.Errorf("got %+v, %+v", r.Devices[0].Failure, r.Devices[1].Failure)
	}
}

func TestTheCPUIsProvedAgainstWhatIsWrittenDown(t *testing.T) {
	t.Parallel()
	in := input(t, "gpu")
	in.Devices = nil
	r := run(t, in)
	if d := r.Devices[0]; !r.Passed || r.Native || d.Title() != "the CPU" || d.Compared != tokens {
		t.Errorf("got %+v", d)
	}
}

func TestAKnownReferenceIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	in := input(t, "gpu")
	wrong := mustAnswer(answerJSON)
	wrong.Tokens[0].Top[0].LogProb = -9
	in.Reference = &wrong
	r := run(t, in)
	if f := r.Devices[0].Failure; f == nil || f.Code != CodeWrongAnswer {
		t.Errorf("got %+v", f)
	}
}

func TestAnInterruptedProofIsNoVerdict(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, input(t, "gpu")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCompare(t *testing.T) {
	token := func(id int, top ...float64) serve.Token {
		out := serve.Token{ID: id}
		for i, p := range top {
			out.Top = append(out.Top, serve.Probability{ID: i, LogProb: p})
		}
		return out
	}
	answer := func(list ...serve.Token) serve.Answer { return serve.Answer{Tokens: list} }
	for _, c := range []struct {
		name      string
		want, got serve.Answer
		diff      Difference
	}{
		{"alike", answer(token(0, -1, -2)), answer(token(0, -1, -2)), Difference{Tokens: 1}},
		{"the largest counts", answer(token(0, -1, -2), token(0, -1, -2)), answer(token(0, -1, -2.5), token(0, -1.25, -2)), Difference{Tokens: 2, Max: 0.5, At: 0}},
		{"after another token nothing is compared", answer(token(0, -1), token(0, -1)), answer(token(1, -1), token(0, -9)), Difference{Tokens: 1}},
		{"a token that is not listed is below those that are", answer(token(0, -1, -2)), answer(token(0, -4)), Difference{Tokens: 1, Max: 3}},
		{"nothing is nothing", answer(), answer(token(0, -1)), Difference{}},
	} {
		if d := compare(c.want, c.got); d != c.diff {
			t.Errorf("%s: %+v, want %+v", c.name, d, c.diff)
		}
	}
	if f := (Difference{}).right("x"); f == nil {
		t.Error("no token compared passes for right")
	}
}

// The model's seed was searched for so that its answer does not hang by a hair.
func TestTheAnswerThatIsWrittenDownIsDecided(t *testing.T) {
	if len(written.Tokens) != tokens {
		t.Fatalf("%d tokens", len(written.Tokens))
	}
	for i, w := range written.Tokens {
		if len(w.Top) != compared || w.ID != w.Top[0].ID || w.Top[0].LogProb-w.Top[1].LogProb < 0.2 {
			t.Errorf("token %d: %+v", i, w)
		}
	}
}

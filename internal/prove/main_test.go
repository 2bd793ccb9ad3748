package prove

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/waqasm86/llcuda/internal/serve"
)

var update = flag.Bool("update", false, "rewrite answer.json from a real llama-server (engine tests)")

// fakeMode makes the test binary a llama-server for what a real one will not do
// here: be on a GPU, and fail there. See fake.
const fakeMode = "PROVE_TEST_FAKE"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "llama-server" {
		fake(os.Getenv(fakeMode))
	}
	os.Exit(m.Run())
}

// fake answers a proof's question. On a GPU (any mode, where GPUs are not hidden)
// it does what the mode says, on the CPU it is right.
func fake(mode string) {
	say := func(format string, a ...any) { fmt.Fprintf(os.Stderr, "0.00.000.001 I "+format+"\n", a...) }
	onGPU := mode != "silent" && os.Getenv("CUDA_VISIBLE_DEVICES") != "-1"
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
	die := func(text string) {
		fmt.Fprintln(os.Stderr, "0.01.000.000 E CUDA error: "+text)
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) })
	mux.HandleFunc("/completion", func(w http.ResponseWriter, r *http.Request) {
		a := mustAnswer(answerJSON)
		if onGPU {
			switch mode {
			case "222":
				die("the provided PTX was compiled with an unsupported toolchain.")
			case "untold", "later": // it aborts before the log is written; later: but for the third time
				count := filepath.Join(os.Getenv("TMPDIR"), "starts")
				f, _ := os.OpenFile(count, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				_, _ = f.WriteString("x")
				if starts, _ := os.ReadFile(count); mode == "later" && len(starts) == 3 {
					die("no kernel image is available for execution on the device")
				}
				fmt.Fprintln(os.Stderr, "/src/ggml/src/ggml-cuda/ggml-cuda.cu:108: CUDA error")
				_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
				select {}
			case "jit": // PTX alone: it runs where the driver may compile it
				if os.Getenv("CUDA_DISABLE_PTX_JIT") == "1" {
					die("PTX JIT compilation was disabled")
				}
			case "env":
				if !slices.Contains(os.Environ(), "CUDA_VISIBLE_DEVICES=GPU-b") || os.Getenv("LLAMA_ARG_CTX_SIZE") != "" || os.Getenv("CUDA_FORCE_PTX_JIT") != "" {
					http.Error(w, `{"error":{"message":"another environment"}}`, http.StatusInternalServerError)
					return
				}
			case "off":
				for i := range a.Tokens[3].Top {
					a.Tokens[3].Top[i].LogProb -= 2
				}
			case "other":
				a.Tokens[2].ID = a.Tokens[2].Top[1].ID
			case "short":
				a.Tokens = a.Tokens[:4]
			}
		}
		written := []map[string]any{}
		for _, t := range a.Tokens {
			top := []map[string]any{}
			for _, p := range t.Top {
				var v any = p.LogProb
				if onGPU && mode == "nan" {
					v = nil
				}
				top = append(top, map[string]any{"id": p.ID, "logprob": v})
			}
			written = append(written, map[string]any{"id": t.ID, "token": t.Text, "logprob": t.Top[0].LogProb, "top_logprobs": top})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"completion_probabilities": written, "timings": map[string]any{"predicted_per_second": 7}})
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	say("cmn  common_param: device_info:")
	say("cmn  common_param:   - CPU     : A CPU (24105 MiB, 24105 MiB free)")
	if onGPU {
		say("cmn  common_param:   - CUDA0   : Tesla T4 (15109 MiB, 14999 MiB free)")
		n := 3
		if mode == "layers" {
			n = 2
		}
		say("load_tensors: offloaded %d/3 layers to GPU", n)
		say("load_tensors:        CUDA0 model buffer size =     1.25 MiB")
	}
	say("srv  llama_server: listening on http://%s", l.Addr())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	<-signals
	os.Exit(0)
}

// input is a proof of a bundle that behaves as mode says, on one GPU.
func input(t *testing.T, mode string) Input {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "llama-server")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), fakeMode+"="+mode, "LLAMA_ARG_CTX_SIZE=9", "CUDA_FORCE_PTX_JIT=1")
	return Input{Bundle: "b", Native: true, Devices: []Device{{Index: 0, UUID: "GPU-a", Name: "Tesla T4"}}, TempDir: t.TempDir(),
		Server: serve.Options{Dir: dir, Env: env}}
}

func run(t *testing.T, in Input) Report {
	t.Helper()
	r, err := Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(in.TempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return r
}

func hasPrefix(list []string, prefix string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, prefix) })
}

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
)

// Variables that tell the fake llama-server what to be. They pass through
// llcuda-run's own treatment of the environment, as a user's would.
const (
	// fakeMode: "" serves on the CPU, "gpu" on a GPU where it is shown one, "library" dies for lack of
	// one, "loading" is never ready, "stubborn" serves and does not stop when it is asked. On a GPU too,
	// and wrong there: "layers" leaves some on the CPU, "nan" and "garbage" answer so, "222" and "209"
	// die at the first kernel.
	fakeMode = "FAKE_SERVER"
	// fakeAnswer names the file with the right answer to a proof's question.
	fakeAnswer = "FAKE_ANSWER"
	// fakePID names a file for the number of its process.
	fakePID = "FAKE_SERVER_PID"
)

// fakeServer is a llama-server as seen from outside: the same words on stderr,
// 503 while it loads, a model's answer afterwards.
func fakeServer() {
	say := func(format string, a ...any) { fmt.Fprintf(os.Stderr, "0.00.000.001 I "+format+"\n", a...) }
	mode := os.Getenv(fakeMode)
	if mode == "library" {
		fmt.Fprintln(os.Stderr, "llama-server: error while loading shared libraries: libgomp.so.1: cannot open shared object file: No such file or directory")
		os.Exit(127)
	}
	for _, a := range os.Args[1:] {
		say("argument <%s>", a)
	}
	say("CUDA_VISIBLE_DEVICES <%s>", os.Getenv("CUDA_VISIBLE_DEVICES"))
	say("LD_LIBRARY_PATH <%s>", os.Getenv("LD_LIBRARY_PATH"))
	if file := os.Getenv(fakePID); file != "" {
		if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			say("%v", err)
			os.Exit(1)
		}
	}

	flags := flag.NewFlagSet("llama-server", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	host := flags.String("host", "127.0.0.1", "")
	port := flags.String("port", "8080", "")
	flags.String("model", "", "")
	flags.String("m", "", "")
	_ = flags.Parse(os.Args[1:]) // it stops at what it does not know, which comes last
	l, err := net.Listen("tcp4", net.JoinHostPort(*host, *port))
	if err != nil {
		fmt.Fprintf(os.Stderr, "0.0 E srv         start: couldn't bind HTTP server socket, hostname: %s, port: %s\n", *host, *port)
		os.Exit(1)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	var loading atomic.Int32
	loading.Store(2) // how often it says 503
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if loading.Add(-1) >= 0 || mode == "loading" {
			http.Error(w, `{"error":{"message":"Loading model","code":503}}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"status":"ok"}`)
	})
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Messages []struct{ Content string }
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || len(ask.Messages) != 1 {
			http.Error(w, `{"error":{"message":"bad request"}}`, http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"choices":[{"message":{"content":"you said %s"}}]}`, ask.Messages[0].Content)
	})
	gpu := slices.Contains([]string{"gpu", "layers", "nan", "garbage", "222", "209"}, mode) && os.Getenv("CUDA_VISIBLE_DEVICES") != "-1"
	mux.HandleFunc("/completion", func(w http.ResponseWriter, _ *http.Request) {
		if text := map[string]string{"222": "the provided PTX was compiled with an unsupported toolchain.",
			"209": "no kernel image is available for execution on the device"}[mode]; gpu && text != "" {
			fmt.Fprintf(os.Stderr, "0.01.000.000 E CUDA error: %s\n", text)
			fmt.Fprintln(os.Stderr, "0.01.000.001 E   current device: 0, in function ggml_cuda_compute_forward at /src/ggml/src/ggml-cuda/ggml-cuda.cu:2421")
			fmt.Fprintln(os.Stderr, "0.01.000.002 E   err")
			_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
			select {}
		}
		proofAnswer(w, gpu, mode)
	})
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	say("cmn  common_param: device_info:")
	say("cmn  common_param:   - CPU     : A CPU (24105 MiB, 24105 MiB free)")
	if gpu {
		say("cmn  common_param:   - CUDA0   : Tesla T4 (15109 MiB, 14999 MiB free)")
		layers := 3
		if mode == "layers" {
			layers = 1
		}
		say("load_tensors: offloaded %d/3 layers to GPU", layers)
	}
	say("srv  llama_server: listening on http://%s", l.Addr())
	for sig := range signals {
		say("signal %v", sig)
		if mode != "stubborn" {
			os.Exit(0)
		}
	}
}

// proofAnswer is the right answer to a proof's question, or a wrong one.
func proofAnswer(w http.ResponseWriter, gpu bool, mode string) {
	var right struct {
		Tokens []struct {
			ID   int    `json:"id"`
			Text string `json:"text"`
			Top  []struct {
				ID      int      `json:"id"`
				LogProb *float64 `json:"logprob"`
			} `json:"top"`
		} `json:"tokens"`
	}
	data, err := os.ReadFile(os.Getenv(fakeAnswer))
	if err == nil {
		err = json.Unmarshal(data, &right)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var out []map[string]any
	for _, t := range right.Tokens {
		for i := range t.Top {
			switch {
			case gpu && mode == "nan":
				t.Top[i].LogProb = nil
			case gpu && mode == "garbage":
				*t.Top[i].LogProb = -5.94 // every token alike
			}
		}
		out = append(out, map[string]any{"id": t.ID, "token": t.Text, "logprob": t.Top[0].LogProb, "top_logprobs": t.Top})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"content": "", "completion_probabilities": out,
		"timings": map[string]any{"prompt_n": 134, "prompt_per_second": 5000, "predicted_per_second": 1000}})
}

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
	"strconv"
	"sync/atomic"
	"syscall"
)

// Variables that tell the fake llama-server what to be. They pass through
// llcuda-run's own treatment of the environment, as a user's would.
const (
	// fakeMode: "" serves on the CPU, "gpu" on a GPU, "library" dies for lack of one, "loading" is never
	// ready, "stubborn" serves and does not stop when it is asked.
	fakeMode = "FAKE_SERVER"
	// fakePID names a file for the number of its process.
	fakePID = "FAKE_SERVER_PID"
)

// fakeServer is a llama-server as seen from outside: the same words on stderr,
// 503 while it loads, a model's answer afterwards.
func fakeServer() {
	say := func(format string, a ...any) { fmt.Fprintf(os.Stderr, "0.00.000.001 I "+format+"\n", a...) }
	if os.Getenv(fakeMode) == "library" {
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
		if loading.Add(-1) >= 0 || os.Getenv(fakeMode) == "loading" {
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
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	say("cmn  common_param: device_info:")
	say("cmn  common_param:   - CPU     : A CPU (24105 MiB, 24105 MiB free)")
	if os.Getenv(fakeMode) == "gpu" {
		say("cmn  common_param:   - CUDA0   : Tesla T4 (15109 MiB, 14999 MiB free)")
		say("load_tensors: offloaded 3/3 layers to GPU")
	}
	say("srv  llama_server: listening on http://%s", l.Addr())
	for sig := range signals {
		say("signal %v", sig)
		if os.Getenv(fakeMode) != "stubborn" {
			os.Exit(0)
		}
	}
}

package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Variables that turn the test binary into another program.
const (
	// fakeMode makes it a llama-server that behaves as the value says.
	fakeMode = "LLCUDA_TEST_FAKE"
	// fakeLog names a file that the fake prints first.
	fakeLog = "LLCUDA_TEST_LOG"
	// starterDir makes it a program that starts the bundle in this folder,
	// prints the server's pid and waits.
	starterDir = "LLCUDA_TEST_STARTER"
)

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == program:
		os.Exit(fake(os.Getenv(fakeMode), os.Args[1:]))
	case os.Getenv(starterDir) != "":
		os.Exit(starter())
	}
	os.Exit(m.Run())
}

// starter is a parent for the test of a parent's death.
func starter() int {
	s, err := Start(context.Background(), Options{Dir: os.Getenv(starterDir), Model: "/m", Env: os.Environ()})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(s.PID())
	select {}
}

// fake is a llama-server as seen from outside.
func fake(mode string, args []string) int {
	say := func(format string, a ...any) { fmt.Fprintf(os.Stderr, "0.00.000.001 I "+format+"\n", a...) }
	if log := os.Getenv(fakeLog); log != "" {
		b, err := os.ReadFile(log)
		if err != nil {
			say("no log: %v", err)
		}
		os.Stderr.Write(b)
	}
	switch mode {
	case "die":
		return 1
	case "help":
		fmt.Println("usage: llama-server")
		return 0
	case "sigill": // a Go program cannot die of it: its runtime has a handler
		err := syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -ILL $$"}, nil)
		say("no shell: %v", err)
		return 1
	case "sigkill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang":
		say("srv    load_model: loading model")
		select {}
	case "env":
		for _, e := range os.Environ() {
			say("env %s", e)
		}
	case "orphan":
		// Somebody who inherits the output and outlives the server.
		child := exec.Command(os.Args[0])
		child.Args[0] = program
		child.Env = append(os.Environ(), fakeMode+"=hang")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 1
		}
		say("child %d", child.Process.Pid)
	}
	parsed := ParseArguments(args, "", "", 0, nil)
	network, address := "tcp", net.JoinHostPort(parsed.Host, fmt.Sprint(parsed.Port))
	switch {
	case strings.HasSuffix(parsed.Host, ".sock"):
		network, address = "unix", parsed.Host
	case !strings.Contains(parsed.Host, ":"):
		network = "tcp4" // else Go makes [::] of 0.0.0.0
	}
	l, err := net.Listen(network, address)
	if err != nil {
		fmt.Fprintf(os.Stderr, "0.0 E srv         start: couldn't bind HTTP server socket, hostname: %s, port: %d\n", parsed.Host, parsed.Port)
		return 1
	}
	var loading atomic.Int32
	loading.Store(3) // how often it says 503
	mux := http.NewServeMux()
	mux.HandleFunc(parsed.Prefix+"/health", func(w http.ResponseWriter, _ *http.Request) {
		if loading.Add(-1) >= 0 {
			http.Error(w, `{"error":{"message":"Loading model","code":503}}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, `{"status":"ok"}`)
	})
	mux.HandleFunc(parsed.Prefix+"/v1/chat/completions", answer)
	mux.HandleFunc(parsed.Prefix+"/die", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "0.0 E CUDA error: no kernel image is available for execution on the device")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	if mode == "gpu" {
		for _, line := range gpuLog {
			fmt.Fprintln(os.Stderr, line)
		}
	} else if mode != "quiet" {
		say("cmn  common_param: device_info:")
		say("cmn  common_param:   - CPU     : A CPU (24105 MiB, 24105 MiB free)")
	}
	if mode != "quiet" {
		host := l.Addr().String()
		if network == "unix" {
			say("srv  llama_server: listening on unix://%s", host)
		} else {
			say("srv  llama_server: listening on http://%s", host)
		}
	}
	for sig := range signals {
		say("signal %v", sig)
		if sig != syscall.SIGHUP && mode != "stubborn" {
			break
		}
	}
	return 0
}

func answer(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Messages []struct{ Content string }
		Max      int `json:"max_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || len(ask.Messages) != 1 {
		http.Error(w, `{"error":{"message":"bad request"}}`, http.StatusBadRequest)
		return
	}
	switch ask.Messages[0].Content {
	case "fail":
		http.Error(w, `{"error":{"code":500,"message":"Compute error."}}`, http.StatusInternalServerError)
	case "empty":
		fmt.Fprint(w, `{"choices":[{"finish_reason":"stop","message":{"content":""}}],"usage":{"completion_tokens":0}}`)
	case "nonsense":
		fmt.Fprint(w, `<html>`)
	default:
		fmt.Fprintf(w, `{"choices":[{"finish_reason":"length","message":{"content":"%d for %s"}}],"usage":{"completion_tokens":8,"prompt_tokens":27},"timings":{"predicted_per_second":8403.36}}`,
			ask.Max, ask.Messages[0].Content)
	}
}

// bundle is a folder with the fake in it.
func bundle(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, program)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// gone fails the test unless the process ends soon. It may be somebody else's child.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		// A zombie has ended, too: its new parent may never ask.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) ||
			err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("process %d is still there", pid)
		}
	}
}

package serve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// heard is a writer that goroutines may share.
type heard struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

func options(t *testing.T, mode string, args ...string) Options {
	t.Helper()
	return Options{Dir: bundle(t), Model: "/m.gguf", Args: args, WorkDir: t.TempDir(), Env: []string{fakeMode + "=" + mode}}
}

// start starts a fake that comes up, and sees to its end.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // kill at once
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		gone(t, s.PID())
	})
	return s
}

func TestAServerStartsAnswersAndStops(t *testing.T) {
	t.Parallel()
	var out, log heard
	o := options(t, "ok")
	o.Stderr, o.Log = &out, slog.New(slog.NewTextHandler(&log, nil))
	s := start(t, o)
	r, err := Complete(t.Context(), s.URL(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	if r.Text != "16 for hello" || r.Tokens != 8 || r.PromptTokens != 27 || r.Finish != "length" || r.PerSecond < 8403 || r.Elapsed <= 0 {
		t.Errorf("got %+v", r)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("a server that was stopped has the error %v", err)
	}
	if !strings.Contains(out.String(), "listening on") || !strings.Contains(out.String(), "signal terminated") {
		t.Errorf("passed on: %q", out.String())
	}
	if !strings.Contains(log.String(), "llama-server ready") {
		t.Errorf("log: %s", log.String())
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	s.Signal(syscall.SIGTERM) // to nobody
}

func TestCompleteTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t, options(t, "ok"))
	for prompt, want := range map[string]string{
		"fail": "500 Internal Server Error: Compute error.", "empty": "without a token", "nonsense": "reading llama-server's answer",
	} {
		if _, err := Complete(t.Context(), s.URL(), prompt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", prompt, err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Complete(t.Context(), s.URL(), "x"); err == nil {
		t.Error("a server that is gone answered")
	}
}

func TestReadinessFollowsTheUsersArguments(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free a moment later
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	sock := filepath.Join(t.TempDir(), "s.sock")
	for _, c := range []struct {
		name, mode string
		args       []string
		url        string
	}{
		{"a port", "ok", []string{"--port", port}, "http://127.0.0.1:" + port},
		{"all addresses, reached on loopback", "ok", []string{"--host", "0.0.0.0", "--api-key", "k"}, "http://127.0.0.1:"},
		{"a prefix", "ok", []string{"--api-prefix", "/x"}, "/x"},
		{"a socket", "ok", []string{"--host", sock}, "unix://" + sock},
		{"a server that was told to be quiet", "quiet", []string{"-lv", "0"}, "http://127.0.0.1:"},
		{"a server that forgot its line", "quiet", nil, "http://127.0.0.1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, options(t, c.mode, c.args...))
			if !strings.Contains(s.URL(), c.url) {
				t.Errorf("URL is %s, want %s", s.URL(), c.url)
			}
		})
	}
}

// On a taken port somebody else answers /health: that must not pass for ready.
func TestAnotherServerOnThePortIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	first := start(t, options(t, "ok"))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(first.URL(), "http://"))
	_, err := Start(t.Context(), options(t, "ok", "--port", port))
	var died *DiedError
	if !errors.As(err, &died) || died.Cause.Code != CodePortTaken {
		t.Errorf("got %v", err)
	}
}

func TestDeathsAreExplained(t *testing.T) {
	t.Parallel()
	log := func(name string) string {
		path, err := filepath.Abs(filepath.Join("testdata", "real", name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, mode, log string
		code, says      string
	}{
		{"a truncated model", "die", log("model-cut-in-weights"), CodeModelDamaged, "before it was ready (exit status 1): the model file is damaged"},
		{"an unknown argument", "die", log("unknown-argument"), CodeArgument, "knows no argument --frobnicate"},
		{"an illegal instruction", "sigill", "", facts.CPUISA, "this CPU lacks an instruction"},
		{"a kill from outside", "sigkill", "", CodeOutOfMemory, "signal 9"},
		{"a death without words", "die", "", "", "it said nothing"},
		{"a death with unknown words", "die", log("cpu-verbose"), "", "its last words were"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, c.mode)
			if c.log != "" {
				o.Env = append(o.Env, fakeLog+"="+c.log)
			}
			_, err := Start(t.Context(), o)
			var died *DiedError
			if !errors.As(err, &died) {
				t.Fatalf("got %v", err)
			}
			if died.Cause.Code != c.code || !strings.Contains(err.Error(), c.says) || died.Ready || died.Hint() == "" || died.ExitCode() != 7 {
				t.Errorf("says %q, hints %q: %+v", err, died.Hint(), died.Cause)
			}
			if c.log != "" && len(died.Tail) == 0 {
				t.Error("the last lines are not there")
			}
		})
	}
}

func TestADeathWhileServingIsExplained(t *testing.T) {
	t.Parallel()
	s := start(t, options(t, "ok"))
	if _, err := Complete(t.Context(), s.URL()+"/die?", "x"); err == nil {
		t.Error("a dead server answered")
	}
	var died *DiedError
	if err := s.Wait(); !errors.As(err, &died) || !died.Ready || died.Signal != syscall.SIGKILL || died.Cause.CUDAError != 209 {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerIsNoDeath(t *testing.T) {
	t.Parallel()
	var out heard
	o := options(t, "help", "--help")
	o.Stdout = &out
	_, err := Start(t.Context(), o)
	var answer *AnswerError
	if !errors.As(err, &answer) || answer.ExitCode() != 0 || !strings.Contains(out.String(), "usage") {
		t.Errorf("got %v, printed %q", err, out.String())
	}
}

func TestAServerThatDoesNothingIsStopped(t *testing.T) {
	t.Parallel()
	o := options(t, "hang")
	o.ReadyStall = 2 * time.Second // the machine may be busy: it has to say something first
	_, err := Start(t.Context(), o)
	var stall *StallError
	if !errors.As(err, &stall) || stall.For < o.ReadyStall || !strings.Contains(err.Error(), "loading model") || stall.ExitCode() != 7 {
		t.Errorf("got %v", err)
	}
}

func TestAnInterruptedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	o := options(t, "hang")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	o.Stderr = w
	go func() { // interrupts once the server has spoken
		_, _ = bufio.NewReader(r).ReadString('\n')
		cancel(context.Canceled)
	}()
	if _, err := Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAGPUThatIsWantedMustBeUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, mode string
		args       []string
		fails      bool
		warns      string
	}{
		{"layers on a GPU", "gpu", nil, false, ""},
		{"only a CPU", "ok", nil, true, ""},
		{"only a CPU, on purpose", "ok", []string{"-ngl", "0"}, false, "-ngl 0 was given"},
		{"a server told to be quiet", "quiet", []string{"--log-disable"}, false, "--log-disable hides"},
		{"a server that says nothing by itself", "quiet", nil, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, c.mode, c.args...)
			o.WantGPU = true
			if c.fails {
				_, err := Start(t.Context(), o)
				var cpu *CPUError
				if !errors.As(err, &cpu) || cpu.ExitCode() != 5 || cpu.Hint() == "" {
					t.Errorf("got %v", err)
				}
				return
			}
			s := start(t, o)
			if got := strings.Join(s.Warnings(), "\n"); !strings.Contains(got, c.warns) || c.warns == "" && got != "" {
				t.Errorf("warns %q", got)
			}
		})
	}
}

func TestACPUErrorSaysWhyTheBackendFailed(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("testdata/real/backend-lacks-libcuda.log")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Only what came before the server was up; the file's own address is not ours.
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:2], nil), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(t, "ok")
	o.WantGPU, o.Env = true, append(o.Env, fakeLog+"="+log)
	_, err = Start(t.Context(), o)
	var cpu *CPUError
	if !errors.As(err, &cpu) || cpu.Cause.Code != facts.NoDriver || !strings.Contains(err.Error(), "libcuda.so.1 is missing") {
		t.Errorf("got %v", err)
	}
}

func TestTheChildGetsTheCleanEnvironment(t *testing.T) {
	t.Parallel()
	o := options(t, "env")
	var log heard
	o.DriverDir, o.LibDirs, o.Log = "/usr/lib64-nvidia", []string{"/usr/local/cuda/lib64"}, slog.New(slog.NewTextHandler(&log, nil))
	o.Env = append(o.Env, "LLAMA_ARG_PORT=1", "LD_AUDIT=", "KEPT=yes")
	s := start(t, o)
	tail := s.Tail()
	for want, there := range map[string]bool{
		"env KEPT=yes": true, "env LD_LIBRARY_PATH=" + o.Dir + ":/usr/local/cuda/lib64:/usr/lib64-nvidia": true, "env LLAMA_ARG_PORT": false, "env LD_AUDIT": false,
	} {
		if got := slices.ContainsFunc(tail, func(l string) bool { return strings.Contains(l, want) }); got != there {
			t.Errorf("%q there: %v", want, got)
		}
	}
	if want := `msg="libraries of this host are used" dir=/usr/local/cuda/lib64`; !strings.Contains(log.String(), want) {
		t.Errorf("log: %s", log.String())
	}
}

func TestStartRefusesBadPlaces(t *testing.T) {
	t.Parallel()
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "libggml-cpu-haswell.so"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		says   string
	}{
		{"a folder without a server", func(o *Options) { o.Dir = t.TempDir() }, "has no llama-server"},
		{"backends in the working directory", func(o *Options) { o.WorkDir = foreign }, "libggml-cpu-haswell.so"},
		{"a library folder that the loader would take for several", func(o *Options) { o.LibDirs = []string{"/a:/b"} }, "the loader would read"},
		{"a library folder that depends on where one stands", func(o *Options) { o.LibDirs = []string{"."} }, "the loader would read"},
		{"a driver folder that depends on where one stands", func(o *Options) { o.DriverDir = "lib" }, "the loader would read"},
		{"a bundle that the loader would take for several folders", func(o *Options) { o.Dir = under(t, o.Dir, "x;y") }, "the loader would read"},
		{"no model", func(o *Options) { o.Model = "" }, "no model"},
		{"GPUs wanted and hidden", func(o *Options) { o.WantGPU, o.HideGPUs = true, true }, "wanted and hidden"},
		{"a program that does not start", func(o *Options) { o.Dir = notAProgram(t) }, "starting llama-server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, "ok")
			c.change(&o)
			if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("the bundle itself may be the working directory", func(t *testing.T) {
		o := options(t, "ok")
		o.WorkDir = o.Dir
		if err := os.WriteFile(filepath.Join(o.Dir, "libggml-cpu-haswell.so"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		start(t, o)
	})
}

// under gives a folder another name, below another one.
func under(t *testing.T, dir, name string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(dir, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// forbid takes away the right to execute a file; in its place lies another, for
// the file may have more names.
func forbid(t *testing.T, file string) {
	t.Helper()
	if err := errors.Join(os.Remove(file), os.WriteFile(file, []byte("#!/bin/sh\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatForbidsProgramsIsNamedWithACure(t *testing.T) {
	t.Parallel()
	o := options(t, "ok")
	forbid(t, filepath.Join(o.Dir, program))
	_, err := Start(t.Context(), o)
	var place *PlaceError
	if !errors.As(err, &place) || !strings.Contains(place.Hint(), "noexec") {
		t.Errorf("got %v", err)
	}
}

func notAProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, program), []byte("text"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

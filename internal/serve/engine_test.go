//go:build engine

// These tests run a real llama-server, of the bundle in LLCUDA_TEST_BUNDLE, with
// models that package gguf writes: go test -tags engine ./internal/serve.

package serve

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/gguf"
)

func engine(t *testing.T, model string, args ...string) Options {
	t.Helper()
	dir := os.Getenv("LLCUDA_TEST_BUNDLE")
	if dir == "" {
		t.Fatal("set LLCUDA_TEST_BUNDLE to a folder with llama-server in it")
	}
	return Options{Dir: dir, Model: model, Args: args, WorkDir: t.TempDir(), Env: os.Environ()}
}

func realModel(t *testing.T, o gguf.TinyOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Tiny(&b, o); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEngineAnswersFromTinyModelsOfEveryType(t *testing.T) {
	for _, typ := range []gguf.TensorType{gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_K, gguf.Q6_K} {
		t.Run(typ.String(), func(t *testing.T) {
			s := start(t, engine(t, realModel(t, gguf.TinyOptions{Type: typ, Seed: 42}), "--check-tensors"))
			first, err := Complete(t.Context(), s.URL(), "Say something.")
			if err != nil {
				t.Fatal(err)
			}
			if first.Tokens != completeTokens || first.Finish != "length" {
				t.Errorf("got %+v", first)
			}
			for _, c := range first.Text {
				if c < ' ' || c > '~' {
					t.Errorf("%q holds %q", first.Text, c)
				}
			}
			again, err := Complete(t.Context(), s.URL(), "Say something.")
			if err != nil || again.Text != first.Text {
				t.Errorf("said %q, then %q (%v)", first.Text, again.Text, err)
			}
			b := s.Backends()
			if !b.Told || len(b.Devices) == 0 || len(b.Buffers) == 0 {
				t.Errorf("read back %+v", b)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if s.died != nil {
				t.Errorf("an idle server did not end with status 0: %v", s.died)
			}
		})
	}
}

func TestEngineFailuresAreExplained(t *testing.T) {
	good := realModel(t, gguf.DefaultTiny())
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.gguf")
	if err := os.WriteFile(cut, whole[:100000], 0o644); err != nil {
		t.Fatal(err)
	}
	other := start(t, engine(t, good))
	_, port, _ := strings.Cut(strings.TrimPrefix(other.URL(), "http://"), ":")
	for _, c := range []struct {
		name, model string
		args        []string
		code        string
	}{
		{"a missing model", "/nonexistent.gguf", nil, CodeModelMissing},
		{"a truncated model", cut, nil, CodeModelDamaged},
		{"an unknown argument", good, []string{"--frobnicate"}, CodeArgument},
		{"an argument with =", good, []string{"--port=1234"}, CodeArgument},
		{"a bad value", good, []string{"-c", "abc"}, CodeArgument},
		{"a taken port", good, []string{"--port", port}, CodePortTaken},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Start(t.Context(), engine(t, c.model, c.args...))
			var died *DiedError
			if !errors.As(err, &died) || died.Cause.Code != c.code {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEngineOnTheCPUIsNoGPU(t *testing.T) {
	o := engine(t, realModel(t, gguf.DefaultTiny()))
	o.HideGPUs = true
	s := start(t, o)
	if b := s.Backends(); b.OnGPU() {
		t.Errorf("hidden GPUs are used: %+v", b)
	}
	o.HideGPUs, o.WantGPU = false, true
	o.Env = append(o.Env, "CUDA_VISIBLE_DEVICES=-1")
	_, err := Start(t.Context(), o)
	var cpu *CPUError
	if !errors.As(err, &cpu) {
		t.Errorf("got %v", err)
	}
}

func TestEngineReadinessFollowsTheArguments(t *testing.T) {
	model := realModel(t, gguf.DefaultTiny())
	keyFile := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keyFile, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(t.TempDir(), "s.sock")
	for _, c := range []struct {
		name string
		args []string
		url  string
		// refused: only the server knows the key.
		refused bool
	}{
		{"quiet", []string{"-lv", "0"}, "http://127.0.0.1:", false},
		{"log disabled", []string{"--log-disable"}, "http://127.0.0.1:", false},
		{"JSON log", []string{"--log-jsonl"}, "http://127.0.0.1:", false},
		{"coloured log", []string{"--log-colors", "on"}, "http://127.0.0.1:", false},
		{"all addresses", []string{"--host", "0.0.0.0"}, "http://127.0.0.1:", false},
		{"IPv6", []string{"--host", "::1"}, "http://[::1]:", false},
		{"a prefix and a key", []string{"--api-prefix", "/x", "--api-key", "k"}, "/x", false},
		{"a prefix and a key in a file", []string{"--api-prefix", "/x", "--api-key-file", keyFile}, "/x", true},
		{"a socket", []string{"--host", sock}, "unix://" + sock, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, engine(t, model, c.args...))
			if !strings.Contains(s.URL(), c.url) {
				t.Errorf("URL is %s", s.URL())
			}
			r, err := s.Complete(t.Context(), "x")
			if c.refused {
				if err == nil || !strings.Contains(err.Error(), "401") {
					t.Errorf("got %+v, %v", r, err)
				}
			} else if err != nil || r.Tokens != completeTokens {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

func TestEngineHelpIsAnAnswer(t *testing.T) {
	_, err := Start(t.Context(), engine(t, "/m", "--version"))
	var answer *AnswerError
	if !errors.As(err, &answer) {
		t.Errorf("got %v", err)
	}
}

func TestEngineMissingLibraryIsNamed(t *testing.T) {
	o := engine(t, "/m")
	whole := o.Dir
	o.Dir = t.TempDir()
	files, err := os.ReadDir(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "libllama.so") {
			continue
		}
		// A hard link or a copy: the loader resolves $ORIGIN through a symlink.
		from, to := filepath.Join(whole, f.Name()), filepath.Join(o.Dir, f.Name())
		if target, err := os.Readlink(from); err == nil {
			err = os.Symlink(target, to)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if f.IsDir() {
			continue
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Start(t.Context(), o)
	var died *DiedError
	if !errors.As(err, &died) || died.Cause.Code != facts.MissingLibrary || died.Status != 127 {
		t.Errorf("got %v", err)
	}
}

// A server that streams is given its grace, and ends at once where it is asked twice.
func TestEngineStopsWhileItStreams(t *testing.T) {
	s := start(t, engine(t, realModel(t, gguf.TinyOptions{Type: gguf.F32, Layers: 8, Embd: 512, Context: 1 << 16}), "-c", "65536", "-np", "1"))
	body := strings.NewReader(`{"messages":[{"role":"user","content":"x"}],"stream":true,"max_tokens":60000,"temperature":0}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/v1/chat/completions", body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	s.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("asked twice, it took %v", took)
	}
}

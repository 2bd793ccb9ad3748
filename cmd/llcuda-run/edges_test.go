package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/models"
)

func newKey(t *testing.T) bundles.PrivateKey {
	t.Helper()
	key, err := bundles.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// called runs the program in a home of its own.
func called(t *testing.T, ctx context.Context, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, diag strings.Builder
	env = append([]string{"LLCUDA_HOME=" + filepath.Join(t.TempDir(), "store")}, env...)
	code = run(ctx, args, cli.NewStreams(strings.NewReader(""), &out, &diag, env), scriptHost)
	return code, out.String(), diag.String()
}

// writeRelease signs a manifest as it is, sound or not.
func writeRelease(t *testing.T, raw []byte, key bundles.PrivateKey) (dir string) {
	t.Helper()
	sig, err := bundles.Sign(raw, key, bundles.Claim{Release: "v1", File: bundles.ManifestName})
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, data := range map[string][]byte{bundles.ManifestName: raw, bundles.SignatureName: sig} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestASignedManifestThatDoesNotHoldTogetherIsAFailedVerification(t *testing.T) {
	key := newKey(t)
	for name, raw := range map[string]string{
		"a release without bundles": `{"schema":1,"release":"v1","sequence":1,"parts":{},"bundles":[]}`,
		"a field of another type":   `{"schema":1,"release":"v1","sequence":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			code, _, said := called(t, t.Context(), nil, "pull", "--from", writeRelease(t, []byte(raw), key), "--key", key.Public().String())
			if code != cli.ExitDownload || !strings.Contains(said, "hint: ") {
				t.Errorf("exit code %d:\n%s", code, said)
			}
		})
	}
}

func TestTheKeyOfTheEnvironmentMayBeAWholePubFile(t *testing.T) {
	one, two := newKey(t).Public(), newKey(t).Public()
	for name, text := range map[string]string{
		"a line":               one.String(),
		"the text of the file": "untrusted comment: minisign public key " + one.ID() + "\n" + one.String() + "\n",
		"two lines of base64":  one.String() + " " + two.String(),
	} {
		t.Run(name, func(t *testing.T) {
			var o releaseOptions
			o.fill(cli.NewStreams(nil, nil, nil, []string{"LLCUDA_KEY=" + text}))
			keys, err := bundles.TrustedKeys(o.keys)
			if err != nil || len(keys) == 0 || keys[0].String() != one.String() {
				t.Errorf("%v, %v", keys, err)
			}
		})
	}
}

func TestDoctorTellsOfTheHostWhereItsReleaseIsNotToBeHad(t *testing.T) {
	key := newKey(t)
	dir := writeRelease(t, []byte(`{"release":"v1"}`), key)
	code, out, said := called(t, t.Context(), nil, "doctor", "--json", "--from", dir)
	if code != cli.ExitDownload || !strings.Contains(said, "no key is trusted") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	var d facts.Doctor
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Host.Libc != "2.36" {
		t.Errorf("%v: %q", err, out)
	}
	if d.Candidates == nil || d.Problems == nil {
		t.Errorf("null in %s", out)
	}
	if code, out, _ = called(t, t.Context(), nil, "doctor", "--from", dir); code != cli.ExitDownload || !strings.Contains(out, "2.36") {
		t.Errorf("exit code %d: %q", code, out)
	}
}

func TestServeEndsWith0AfterSIGTERMWhateverItWasDoing(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGTERM: cli.ExitOK, syscall.SIGINT: cli.ExitInterrupted} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(&cli.Signalled{Signal: sig})
		if code, _, said := called(t, ctx, nil, "serve", "tiny", "--from", t.TempDir()); code != want {
			t.Errorf("%v: exit code %d: %s", sig, code, said)
		}
	}
}

func TestGCOfNothingListsNothing(t *testing.T) {
	for _, args := range [][]string{{"gc"}, {"gc", "--dry-run"}} {
		if _, out, said := called(t, t.Context(), nil, args...); !strings.Contains(out, `"names": []`) || !strings.Contains(out, `"schema": 1`) {
			t.Errorf("%v: %s%s", args, out, said)
		}
	}
}

func TestRemoveAllTakesAModelThatWasNotFinished(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	dir := filepath.Join(cache, "models")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{models.TinyName + "-1.gguf", "." + models.TinyName + "-123.unverified"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := dropModels(cache); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cache is still there: %v", err)
	}
}

func TestCtrlCWhileTheMachineIsReadIsNoAnswerAboutIt(t *testing.T) {
	key := newKey(t)
	digest := "sha256:" + strings.Repeat("a", 64)
	dir := writeRelease(t, []byte(`{"schema":1,"release":"v1","sequence":1,"tool":"t",
		"parts":{"`+digest+`":{"kind":"app","name":"cpu.tar.zst","size":1,"contents":"`+digest+`","release":null}},
		"bundles":[{"id":"cpu","cell":"cpu","platform":"linux/amd64","image":{"ref":"host"},"source":{},"app":"`+digest+`"}]}`), key)
	for _, args := range [][]string{{"pull"}, {"doctor"}, {"doctor", "--json"}, {"why"}, {"why", "--json"}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cutShort := func(context.Context) facts.Host {
			cancel(&cli.Signalled{Signal: syscall.SIGINT})
			return facts.Host{Platform: "linux/amd64", Unknown: map[string]string{"gpus": "the probe was stopped"}}
		}
		var out, diag strings.Builder
		s := cli.NewStreams(strings.NewReader(""), &out, &diag, []string{"LLCUDA_HOME=" + filepath.Join(t.TempDir(), "store")})
		code := run(ctx, append(args, "--from", dir, "--key", key.Public().String()), s, cutShort)
		if code != cli.ExitInterrupted || out.String() != "" {
			t.Errorf("%v: exit code %d: %s%s", args, code, out.String(), diag.String())
		}
	}
}

func TestGPUsThatCouldNotBeListedAreNotSaidToBeAbsent(t *testing.T) {
	m := &bundles.Manifest{Release: "v1"}
	for name, c := range map[string]struct {
		gpus []facts.GPU
		says string
	}{
		"none":    {[]facts.GPU{}, "there is no NVIDIA GPU here"},
		"unknown": {nil, "--cpu"},
	} {
		err := noBundle(m, facts.Host{GPUs: c.gpus}, pickOptions{})
		if got := cure(err); !strings.Contains(got, c.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestASourceThatDoesNotAnswerSaysWhatToDo(t *testing.T) {
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer refuse.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct{ from, says string }{
		"no such host":   {gone.URL, "hint: check the network"},
		"a login wanted": {refuse.URL, "hint: the host wants a login"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, said := called(t, t.Context(), nil, "pull", "--from", c.from)
			if code != cli.ExitDownload || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d: %s", code, said)
			}
		})
	}
}

func TestABundleThatWasNamedAndDoesNotFitSaysNothingOfTheOthers(t *testing.T) {
	m := &bundles.Manifest{Release: "v1", Bundles: []bundles.Bundle{{ID: "cpu"}, {ID: "cuda11.8-all", Toolkit: "11.8.0"}}}
	err := noBundle(m, facts.Host{GPUs: []facts.GPU{}}, pickOptions{bundle: "cuda11.8-all"})
	var e *cli.Error
	if !errors.As(err, &e) || strings.Contains(e.Cure, "no bundle for the CPU") || !strings.Contains(e.Cure, "leave --bundle out") {
		t.Errorf("%v; its hint is %+v", err, e)
	}
}

package ci_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/matrix"
)

func host(t *testing.T, env map[string]string) ci.Builder {
	t.Helper()
	if env == nil {
		env = map[string]string{"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "SECRET": "not for steps"}
	}
	b, err := ci.NewHost(ci.HostOptions{Env: env, Grace: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func containerDirs(string, string) matrix.Dirs { return matrix.ContainerDirs }

func hostSuite() suite {
	return suite{
		hold:    1,
		builder: func(t *testing.T) ci.Builder { return host(t, nil) },
		dirs: func(source, outDir string) matrix.Dirs {
			return ci.HostDirs(source, outDir, filepath.Join(filepath.Dir(source), "ccache"))
		},
	}
}

func TestHostBuilder(t *testing.T) { conformance(t, hostSuite()) }

func TestHostBuilderAndSignals(t *testing.T) { signals(t, hostSuite()) }

func TestHostStepsSeeAMinimalEnvironment(t *testing.T) {
	b := hostSuite().bench(t, "env")
	p := b.plan(`env | sed 's/=.*//' | sort >"$3/env"; echo "$LANG" >"$3/lang"`)
	if _, err := host(t, nil).Build(t.Context(), p, b.job()); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(read(t, filepath.Join(b.outDir, "env")))
	for _, k := range got {
		switch k {
		case "PATH", "HOME", "LANG", "GREETING", "PWD", "OLDPWD", "SHLVL", "_":
		default:
			t.Errorf("a step sees %s", k)
		}
	}
	if lang := read(t, filepath.Join(b.outDir, "lang")); lang != "C\n" {
		t.Errorf("LANG=%q", lang)
	}
}

func TestHostMissingToolsAreNamedWithTheirPackages(t *testing.T) {
	b := hostSuite().bench(t, "missing")
	p := b.plan(`touch "$3/x"`)
	p.Steps[0].Args = []string{"cmake", "-G", "Ninja", "-S", "x", "-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CUDA_ARCHITECTURES=75-real"}
	_, err := host(t, map[string]string{"PATH": t.TempDir(), "CXX": "clang++-13 -m64"}).Build(t.Context(), p, b.job())
	var missing *ci.ToolError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v", err)
	}
	if got, want := strings.Join(missing.Tools, " "), "cmake ninja cc clang++-13 ccache nvcc strip readelf"; got != want {
		t.Errorf("missing %q, want %q", got, want)
	}
	if got, want := missing.Hint(), "apt-get install cmake ninja-build gcc clang-13 ccache nvidia-cuda-toolkit binutils"; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
	b.nothingBut(t)
}

func TestHostProcessThatIgnoresTheSignalIsKilled(t *testing.T) {
	b := hostSuite().bench(t, "stubborn")
	mark := "918273645001"
	p := b.plan(`trap '' TERM; echo ready; while :; do sleep ` + mark + ` || :; done`)
	ctx, cancel := contextOf(t)
	job := b.job()
	job.Progress = func(e ci.Event) {
		if e.Line == "ready" {
			cancel()
		}
	}
	if _, err := host(t, nil).Build(ctx, p, job); err == nil {
		t.Error("a cancelled build succeeded")
	}
	eventually(t, "killed", func() bool { return !running(mark) })
	b.nothingBut(t)
}

func TestHostProcessLeftBehindByAStepEndsWithIt(t *testing.T) {
	b := hostSuite().bench(t, "daemon")
	mark := "918273645002"
	p := b.plan(`sleep ` + mark + ` >/dev/null 2>&1 & touch "$3/x"`)
	if _, err := host(t, nil).Build(t.Context(), p, b.job()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "killed", func() bool { return !running("sleep\x00" + mark) })
}

func TestHostStepEndedByASignalHasTheShellsExitCode(t *testing.T) {
	b := hostSuite().bench(t, "signal")
	_, err := host(t, nil).Build(t.Context(), b.plan(`kill -KILL $$`), b.job())
	var failed *ci.StepError
	if !errors.As(err, &failed) || failed.ExitCode != 137 {
		t.Errorf("error %#v", err)
	}
}

func TestHostSourceMustBeThePlans(t *testing.T) {
	b := hostSuite().bench(t, "other")
	job := b.job()
	job.SourceDir = t.TempDir()
	if _, err := host(t, nil).Build(t.Context(), b.plan(`touch "$3/x"`), job); err == nil || !strings.Contains(err.Error(), "plan names") {
		t.Errorf("error %v", err)
	}
}

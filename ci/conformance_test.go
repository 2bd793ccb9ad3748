package ci_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/matrix"
)

// A suite is one builder under test. Every builder passes every case.
type suite struct {
	builder func(t *testing.T) ci.Builder
	// dirs are the folders that a plan for outDir works in.
	dirs  func(source, outDir string) matrix.Dirs
	image string
	// engine is which llcuda-engine runs the plans; "" for the host builder.
	engine string
	// hold is for how many seconds a step stays so that its output is surely
	// seen meanwhile: an engine's log lags.
	hold int
}

// bench is a source tree and a place for results.
type bench struct {
	suite
	source, outDir string
	nonce          string // an engine runs nothing twice: makes the steps new
	log            bytes.Buffer
	events         []ci.Event
}

func (s suite) bench(t *testing.T, name string) *bench {
	t.Helper()
	root := t.TempDir()
	b := &bench{suite: s, nonce: rand.Text(), source: filepath.Join(root, name, "src"), outDir: filepath.Join(root, name, "dist", "cell")}
	write(t, filepath.Join(b.source, "hello.txt"), "hello\n")
	return b
}

// plan makes a plan of shell steps; $1…$3 are source, build and output folder.
func (b *bench) plan(steps ...string) matrix.Plan {
	d := b.dirs(b.source, b.outDir)
	p := matrix.Plan{
		Cell:  matrix.Cell{ID: "cpu", Platform: "linux/amd64"},
		Image: b.image, Dirs: d, Env: []string{"GREETING=good day"},
	}
	names := []string{"record", "configure", "build", "install"}
	for i, text := range steps {
		name := names[min(i, len(names)-1)]
		if len(steps) == 1 {
			name = "build"
		}
		p.Steps = append(p.Steps, matrix.Step{Name: name, Args: []string{"sh", "-euc", text, name, d.Source, d.Build, d.Out, b.nonce}})
	}
	return p
}

func (b *bench) job() ci.Job {
	return ci.Job{SourceDir: b.source, OutDir: b.outDir, Log: &b.log, Progress: func(e ci.Event) { b.events = append(b.events, e) }}
}

// nothingBut fails where the folder of results holds anything but names.
func (b *bench) nothingBut(t *testing.T, names ...string) {
	t.Helper()
	var have []string
	entries, err := os.ReadDir(filepath.Dir(b.outDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if !slices.Equal(have, names) {
		t.Errorf("beside the output folder lie %q, want %q\n%s", have, names, b.log.String())
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// running tells whether some process of this machine has mark in its arguments.
func running(mark string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if data, _ := os.ReadFile(f); bytes.Contains(data, []byte(mark)) {
			return true
		}
	}
	return false
}

// eventually waits for cond, with a limit.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(40 * time.Second)
	defer limit.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("40 s on: not %s", what)
		}
	}
}

// conformance is what Builder promises.
func conformance(t *testing.T, s suite) {
	t.Run("the output folder holds what the install step left, with modes and links", func(t *testing.T) {
		b := s.bench(t, "plain")
		p := b.plan(
			`printf '# tools\ncc=gcc (Debian) 1=2\nlibc=glibc 2.31\n' >"$2/llcuda-tools.txt"`,
			`test "$GREETING" = 'good day'; test -d "$2"; test -z "$(ls -A "$3")"; echo configured >"$2/state"`,
			`echo '[1/2] Building hello.o'; cat "$1/hello.txt" >"$2/hello.o"; echo '[2/2] Linking hello' >&2`,
			`grep -q configured "$2/state"; cp "$2/hello.o" "$3/hello"; chmod 755 "$3/hello"; ln -s hello "$3/hi"; mkdir "$3/LICENSES"; echo free >"$3/LICENSES/a b"`)
		p.ToolsFile = p.Dirs.Build + "/llcuda-tools.txt"
		res, err := s.builder(t).Build(t.Context(), p, b.job())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.log.String())
		}
		if res.Dir != b.outDir {
			t.Errorf("Dir = %q, want %q", res.Dir, b.outDir)
		}
		if got := read(t, filepath.Join(res.Dir, "hello")); got != "hello\n" {
			t.Errorf("hello holds %q", got)
		}
		if st, err := os.Stat(filepath.Join(res.Dir, "hello")); err != nil || st.Mode().Perm() != 0o755 {
			t.Errorf("hello: mode %v, %v", st.Mode(), err)
		}
		if to, err := os.Readlink(filepath.Join(res.Dir, "hi")); to != "hello" {
			t.Errorf("hi → %q, %v", to, err)
		}
		if got := read(t, filepath.Join(res.Dir, "LICENSES", "a b")); got != "free\n" {
			t.Errorf("licence holds %q", got)
		}
		if want := map[string]string{"cc": "gcc (Debian) 1=2", "libc": "glibc 2.31"}; fmt.Sprint(res.Tools) != fmt.Sprint(want) {
			t.Errorf("Tools = %v, want %v", res.Tools, want)
		}
		var steps []string
		for _, x := range res.Timings {
			steps = append(steps, x.Step)
			if x.Took < 0 {
				t.Errorf("%s took %v", x.Step, x.Took)
			}
		}
		if got := strings.Join(steps, " "); !strings.Contains(got, "record configure build install") {
			t.Errorf("timings of %s", got)
		}
		b.nothingBut(t, "cell")
	})

	t.Run("progress counts while a step runs", func(t *testing.T) {
		b := s.bench(t, "progress")
		mark := rand.Text()
		p := b.plan(`echo '[1/2] Building ` + mark + `'; sleep ` + fmt.Sprint(s.hold) + `; echo '[2/2] Linking'; echo x >"$3/x"`)
		job := b.job()
		var live bool
		var beyond bool
		job.Progress = func(e ci.Event) {
			b.events = append(b.events, e)
			if e.Cell != "cpu" {
				t.Errorf("event of cell %q", e.Cell)
			}
			if e.Step == "build" && e.Done == 1 && e.Total == 2 && strings.Contains(e.Line, mark) {
				live = running(mark)
			}
			beyond = beyond || e.Done > e.Total
		}
		if _, err := s.builder(t).Build(t.Context(), p, job); err != nil {
			t.Fatalf("%v\n%s", err, b.log.String())
		}
		if !live || beyond {
			t.Errorf("live %v, beyond %v; events %+v", live, beyond, b.events)
		}
		if !strings.Contains(b.log.String(), "[2/2] Linking") {
			t.Errorf("the log lacks the last line:\n%s", b.log.String())
		}
	})

	t.Run("a failing step is named with its exit code and the first error", func(t *testing.T) {
		b := s.bench(t, "failing")
		p := b.plan(`:`, `:`, `echo '[1/9] Building a.o'; echo 'FAILED: b.o'; echo "c++ -c b.c"; echo "b.c:7:1: error: expected ';'"; for i in 1 2 3; do echo "[$i/9] Building c$i.o"; done; echo 'ninja: build stopped' >&2; exit 42`, `touch "$3/never"`)
		_, err := s.builder(t).Build(t.Context(), p, b.job())
		var failed *ci.StepError
		if !errors.As(err, &failed) {
			t.Fatalf("error %T %v, want a *StepError", err, err)
		}
		if failed.Cell != "cpu" || failed.Step != "build" || failed.ExitCode != 42 {
			t.Errorf("%+v", failed)
		}
		if len(failed.Tail) < 3 || failed.Tail[0] != "FAILED: b.o" || failed.Tail[2] != "b.c:7:1: error: expected ';'" {
			t.Errorf("tail %q", failed.Tail)
		}
		b.nothingBut(t)
	})

	t.Run("a step that made nothing is no success", func(t *testing.T) {
		b := s.bench(t, "nothing")
		if _, err := s.builder(t).Build(t.Context(), b.plan(`echo done`), b.job()); err == nil || !strings.Contains(err.Error(), "left nothing") {
			t.Errorf("error %v", err)
		}
		b.nothingBut(t)
	})

	t.Run("an output folder that is there is not touched", func(t *testing.T) {
		b := s.bench(t, "there")
		write(t, filepath.Join(b.outDir, "mine"), "mine")
		_, err := s.builder(t).Build(t.Context(), b.plan(`touch "$3/x"`), b.job())
		var there *ci.OutputError
		if !errors.As(err, &there) || there.Busy {
			t.Errorf("error %v", err)
		}
		if got := read(t, filepath.Join(b.outDir, "mine")); got != "mine" {
			t.Errorf("mine holds %q", got)
		}
		b.nothingBut(t, "cell")
	})

	t.Run("cancelling stops the processes and leaves nothing", func(t *testing.T) {
		b := s.bench(t, "cancelled")
		mark := "9" + fmt.Sprint(time.Now().UnixNano()) // sleep takes it for a long time
		p := b.plan(`echo half >"$3/half"; (sleep ` + mark + `) & echo ready; wait`)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		job := b.job()
		var seen, early bool
		job.Progress = func(e ci.Event) {
			if e.Line == "ready" {
				_, err := os.Lstat(b.outDir)
				early = err == nil
				// The shell says so when it has forked; sleep may yet have to begin.
				for wait := time.NewTimer(10 * time.Second); !seen; {
					select {
					case <-wait.C:
						cancel()
						return
					case <-time.After(10 * time.Millisecond):
						seen = running("sleep\x00" + mark)
					}
				}
				cancel()
			}
		}
		_, err := s.builder(t).Build(ctx, p, job)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want a cancelled context's", err)
		}
		var failed *ci.StepError
		if errors.As(err, &failed) {
			t.Errorf("a cancelled step is reported as failed: %v", err)
		}
		if !seen || early {
			t.Errorf("process seen %v, output there too early %v\n%s", seen, early, b.log.String())
		}
		eventually(t, "stopped: sleep "+mark, func() bool { return !running("sleep\x00" + mark) })
		b.nothingBut(t)
	})

	t.Run("what a killed build left is removed by the next", func(t *testing.T) {
		b := s.bench(t, "leftover")
		dist := filepath.Dir(b.outDir)
		write(t, filepath.Join(dist, ".llcuda-staging-cell", "out", "half"), "half")
		write(t, filepath.Join(dist, ".llcuda-staging-other", "out", "half"), "half")
		if _, err := s.builder(t).Build(t.Context(), b.plan(`test ! -e "$3/half"; echo x >"$3/x"`), b.job()); err != nil {
			t.Fatalf("%v\n%s", err, b.log.String())
		}
		b.nothingBut(t, "cell")
	})

	t.Run("two cells build at once and each hears of itself", func(t *testing.T) {
		builder := s.builder(t)
		var wg sync.WaitGroup
		for i := range 2 {
			b := s.bench(t, fmt.Sprintf("pair%d", i))
			p := b.plan(fmt.Sprintf(`echo "I am cell%d"; cat "$1/hello.txt" >"$3/x"`, i))
			p.Cell.ID = fmt.Sprintf("cell%d", i)
			wg.Go(func() {
				if _, err := builder.Build(t.Context(), p, b.job()); err != nil {
					t.Errorf("%v\n%s", err, b.log.String())
					return
				}
				other := fmt.Sprintf("I am cell%d", 1-i)
				for _, e := range b.events {
					if e.Cell != p.Cell.ID || e.Line == other {
						t.Errorf("%s heard %+v", p.Cell.ID, e)
					}
				}
			})
		}
		wg.Wait()
	})

	t.Run("a second build of one folder is refused while the first runs", func(t *testing.T) {
		b := s.bench(t, "busy")
		builder := s.builder(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := make(chan struct{})
		job := b.job()
		var once sync.Once
		job.Progress = func(e ci.Event) {
			if e.Line == "ready" {
				once.Do(func() { close(began) })
			}
		}
		done := make(chan error, 1)
		go func() {
			_, err := builder.Build(ctx, b.plan(`echo ready; sleep 9`+fmt.Sprint(time.Now().UnixNano())), job)
			done <- err
		}()
		select {
		case <-began:
		case err := <-done:
			t.Fatalf("the first build ended: %v\n%s", err, b.log.String())
		}
		_, err := builder.Build(ctx, b.plan(`touch "$3/x"`), ci.Job{SourceDir: b.source, OutDir: b.outDir})
		var busy *ci.OutputError
		if !errors.As(err, &busy) || !busy.Busy {
			t.Errorf("error %v", err)
		}
		cancel()
		<-done
	})

	t.Run("folders with spaces are folders", func(t *testing.T) {
		b := s.bench(t, "a folder with spaces")
		if _, err := s.builder(t).Build(t.Context(), b.plan(`cp "$1/hello.txt" "$3/a file"`), b.job()); err != nil {
			t.Fatalf("%v\n%s", err, b.log.String())
		}
		if got := read(t, filepath.Join(b.outDir, "a file")); got != "hello\n" {
			t.Errorf("a file holds %q", got)
		}
	})

	t.Run("a broken tools file is an error that names the line", func(t *testing.T) {
		b := s.bench(t, "tools")
		p := b.plan(`printf 'cc=gcc\nnonsense\n' >"$2/tools"; touch "$3/x"`)
		p.ToolsFile = p.Dirs.Build + "/tools"
		if _, err := s.builder(t).Build(t.Context(), p, b.job()); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("error %v", err)
		}
		b.nothingBut(t)
	})
}

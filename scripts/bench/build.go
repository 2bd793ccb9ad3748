package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/waqasm86/llcuda/matrix"
)

// building is what the rows of build are measured on: a cell, the image it is built
// in ("" = the matrix's), a source, and the file of it that is changed.
type building struct{ cell, image, source, change string }

// changes is how many times the file is changed, one after the other.
const changes = 3

// buildTimes are those of one cell, built by us and by cmake and ninja alone.
type buildTimes struct {
	ours, plain, draft, whole, ninja, unchanged samples
	// outside is what llcuda-build took outside its steps: from nothing, of a draft
	// of a change, and of a whole build of one.
	outside, outsideDraft, outsideWhole time.Duration
	err                                 error
}

// buildCold, buildDraft, buildChanged and buildUnchanged are looks at one measurement,
// which the first of them takes. With a source that takes an hour from nothing
// (-ccache) there is no cold row: both sides are then prepared out of one ccache.
func buildCold(ctx context.Context, b bench) (ours, rival samples, name string, err error) {
	t := b.builds(ctx)
	if t.err == nil && b.ccache != "" {
		return nil, nil, "", errors.New("not measured: both sides were prepared out of ccache")
	}
	return t.ours, t.plain, "cmake, ninja in the same image; ours outside its steps (aim: 30 s) " + seconds(t.outside), t.err
}

func buildDraft(ctx context.Context, b bench) (ours, rival samples, name string, err error) {
	return b.changed(ctx, func(t *buildTimes) (samples, time.Duration) { return t.draft, t.outsideDraft })
}

func buildChanged(ctx context.Context, b bench) (ours, rival samples, name string, err error) {
	return b.changed(ctx, func(t *buildTimes) (samples, time.Duration) { return t.whole, t.outsideWhole })
}

func (b bench) changed(ctx context.Context, which func(*buildTimes) (samples, time.Duration)) (ours, rival samples, name string, err error) {
	t := b.builds(ctx)
	if t.err != nil {
		return nil, nil, "", t.err
	}
	ours, outside := which(t)
	more := ours.best() - t.ninja.best()
	return ours, t.ninja, fmt.Sprintf("ninja in its own tree; ours %.1f s more (aim: 10), outside its steps %s", more.Seconds(), seconds(outside)), nil
}

func buildUnchanged(ctx context.Context, b bench) (ours, rival samples, name string, err error) {
	t := b.builds(ctx)
	return t.unchanged, nil, "none (aim: 3 s)", t.err
}

// builds measures once, whichever row asks first.
func (b bench) builds(ctx context.Context) *buildTimes {
	if *b.measured == nil {
		t := &buildTimes{}
		t.err = t.measure(ctx, b)
		*b.measured = t
	}
	return *b.measured
}

func (t *buildTimes) measure(ctx context.Context, b bench) error {
	if b.build.source == "" {
		return errors.New("no source to build: -source")
	}
	cli := os.Getenv("_EXPERIMENTAL_DAGGER_CLI_BIN")
	if cli == "" {
		var err error
		if cli, err = exec.LookPath("dagger"); err != nil {
			return fmt.Errorf("the rival runs in the same image by dagger's own command: %w", err)
		}
	}
	plan, err := b.plan()
	if err != nil {
		return err
	}
	source := filepath.Join(b.work, "source")
	if err := os.CopyFS(source, os.DirFS(b.build.source)); err != nil {
		return err
	}
	// A copy's files have times that git has not noted: it would read all of them each
	// time, as in nobody's checkout.
	if _, err := os.Stat(filepath.Join(source, ".git")); err == nil {
		if out, err := exec.CommandContext(ctx, "git", "-C", source, "update-index", "-q", "--refresh").CombinedOutput(); err != nil {
			return fmt.Errorf("git update-index: %w: %s", err, out)
		}
	}
	file := filepath.Join(source, filepath.FromSlash(b.build.change))
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	// What is appended is new each time: neither ccache nor the engine has seen it.
	change := func(i int) []byte {
		return fmt.Appendf(before[:len(before):len(before)], "\nextern \"C\" int llcuda_bench_%d_%d(void) { return 1; }\n", time.Now().UnixNano(), i)
	}
	if t.plain, t.ninja, err = b.plainBuild(ctx, cli, plan, source, change); err != nil {
		return err
	}
	one := func(into *samples, outside *time.Duration, name string, more ...string) error {
		out := filepath.Join(b.work, name)
		argv := []string{b.bin, "build", "--matrix", b.matrix, "--source", source, "--out", out, "--runtime", "host", "--jobs", strconv.Itoa(runtime.NumCPU()), "--timings", b.build.cell}
		if b.build.image != "" {
			argv = append(argv, "--image", b.build.image)
		}
		s, err := once(ctx, command{argv: append(argv, more...)})
		if err != nil {
			return err
		}
		*into = append(*into, s)
		return outsideOf(filepath.Join(out, "logs", "timings.json"), outside)
	}
	var unmeasured samples
	var none time.Duration
	if b.ccache == "" {
		if err := one(&t.ours, &t.outside, "built", "--no-cache"); err != nil {
			return err
		}
	}
	// These fill ccache and the folders of drafts.
	if err := errors.Join(one(&unmeasured, &none, "built"), one(&unmeasured, &none, "draft", "--draft")); err != nil {
		return err
	}
	for i := range changes {
		if err := os.WriteFile(file, change(i), 0o644); err != nil {
			return err
		}
		if err := one(&t.draft, &t.outsideDraft, "draft", "--draft"); err != nil {
			return err
		}
	}
	if err := os.WriteFile(file, change(changes), 0o644); err != nil {
		return err
	}
	if err := one(&t.whole, &t.outsideWhole, "built"); err != nil {
		return err
	}
	for range rivalRuns {
		if err := one(&t.unchanged, &none, "built"); err != nil {
			return err
		}
	}
	return nil
}

// outsideOf reads what a build with --timings said of itself.
func outsideOf(file string, into *time.Duration) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var said struct {
		Outside float64 `json:"outside"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	*into = time.Duration(said.Outside * float64(time.Second))
	return nil
}

// plan is what we would run for the cell.
func (b bench) plan() (matrix.Plan, error) {
	data, err := os.ReadFile(b.matrix)
	if err != nil {
		return matrix.Plan{}, err
	}
	m, err := matrix.Load(b.matrix, data)
	if err != nil {
		return matrix.Plan{}, err
	}
	cell, err := m.Cell(b.build.cell)
	if err != nil {
		return matrix.Plan{}, err
	}
	images := map[string]string{}
	if toolkit, ref, ok := strings.Cut(b.build.image, "="); ok {
		images[toolkit] = ref
	}
	return m.Plan(cell, matrix.PlanOptions{Dirs: matrix.ContainerDirs, ImageFor: images, Jobs: runtime.NumCPU(), NoCcache: b.ccache == ""})
}

// plainBuild runs the configure and build steps of our own plan in its image, without
// us: from nothing, and again with one file changed. Both times are taken inside the
// container, so that neither the engine nor the copying of files counts as the rival's.
func (b bench) plainBuild(ctx context.Context, cli string, plan matrix.Plan, source string, change func(int) []byte) (cold, changed samples, err error) {
	var script strings.Builder
	script.WriteString("set -eu\n")
	for _, kv := range plan.Env {
		k, v, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&script, "export %s=%s\n", k, matrix.ShellLine([]string{v}))
	}
	var configure, build string
	for _, s := range plan.Steps {
		switch s.Name {
		case "configure":
			configure = matrix.ShellLine(s.Args)
		case matrix.StepBuild:
			build = matrix.ShellLine(s.Args)
		}
	}
	prepare := ""
	for _, s := range plan.Prepare {
		prepare += matrix.ShellLine(s.Args) + " > /tmp/log 2>&1 || { tail -n 20 /tmp/log >&2; exit 1; }\n"
	}
	took := func(name, what string) string {
		return "from=$(date +%s%N)\n{ " + what + "; } > /tmp/log 2>&1 || { tail -n 20 /tmp/log >&2; exit 1; }\necho " + name + " $(($(date +%s%N) - from))\n"
	}
	script.WriteString(prepare)
	script.WriteString("[ ! -f /bench/ccache.tar ] || { mkdir -p /ccache && tar -xf /bench/ccache.tar -C /ccache; }\nmkdir -p /bld\ncd /bld\n")
	script.WriteString(took("cold", configure+" && "+build))
	files := map[string][]byte{}
	for i := range changes {
		name := fmt.Sprintf("change%d", i)
		files[name] = change(i)
		script.WriteString("cat /bench/" + name + " > " + matrix.ShellLine([]string{"/src/" + b.build.change}) + "\n")
		script.WriteString(took("changed", build))
	}
	files["plain.sh"] = []byte(script.String())

	dir := filepath.Join(b.work, "plain")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, nil, err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return nil, nil, err
		}
	}
	if b.ccache != "" {
		if err := os.Link(b.ccache, filepath.Join(dir, "ccache.tar")); err != nil {
			return nil, nil, err
		}
	}
	cmd := exec.CommandContext(ctx, cli, "core", "--silent", "container", "from", "--address="+plan.Image,
		"with-env-variable", "--name=LLCUDA_BENCH", "--value="+strconv.FormatInt(time.Now().UnixNano(), 10), // not out of the engine's cache
		"with-directory", "--path=/src", "--source="+source, "with-mounted-directory", "--path=/bench", "--source="+dir,
		"with-exec", "--args=sh,/bench/plain.sh", "stdout")
	var said strings.Builder
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("cmake and ninja in %s: %w: %s", plan.Image, err, strings.TrimSpace(said.String()))
	}
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		ns, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("cmake and ninja in %s said %q", plan.Image, text)
		}
		into := &changed
		if name == "cold" {
			into = &cold
		}
		*into = append(*into, sample{wall: time.Duration(ns)})
	}
	if len(cold) != 1 || len(changed) != changes {
		return nil, nil, fmt.Errorf("cmake and ninja in %s said %q", plan.Image, text)
	}
	return cold, changed, nil
}

package matrix_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/matrix"
)

// drafts are a source, the folders that a draft keeps, and its real script, whose
// configure, build and install are other lines of shell.
type drafts struct {
	script string
	d      matrix.Dirs
}

func newDrafts(t *testing.T) drafts {
	t.Helper()
	m, err := matrix.Load("m.yaml", []byte(stepsMatrix))
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Draft, o.Dirs = true, matrix.DraftDirs
	p := plan(t, m, "cpu", o)
	var names []string
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"record", "build"}, names); diff != "" {
		t.Errorf("steps of a draft (-want +got):\n%s", diff)
	}
	s := step(t, p, "build")
	for i, what := range map[int]string{4: "/from", 5: "/src", 6: "/bld"} {
		if s.Args[i] != what {
			t.Errorf("argument %d is %q, want %q", i, s.Args[i], what)
		}
	}
	root := filepath.Join(t.TempDir(), "a folder")
	return drafts{s.Args[2], matrix.Dirs{From: root + "/from", Source: root + "/src", Build: root + "/bld"}}
}

func (d drafts) run(t *testing.T, configure, build, install string) (string, error) {
	t.Helper()
	return run(t, matrix.Step{Args: []string{"sh", "-euc", d.script, "draft", d.d.From, d.d.Source, d.d.Build, configure, build, install}})
}

func (d drafts) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, body := range files {
		name = filepath.Join(d.d.From, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// same says how the kept source differs from the real one.
func (d drafts) same(t *testing.T) {
	t.Helper()
	for _, differ := range [][]string{{"diff", "-r", "--no-dereference", d.d.From, d.d.Source},
		{"sh", "-c", `for d do (cd "$d" && find . -type f -perm -100 | sort) >"$d.modes"; done; diff "$1.modes" "$2.modes"`, "modes", d.d.From, d.d.Source}} {
		if out, err := exec.CommandContext(t.Context(), differ[0], differ[1:]...).CombinedOutput(); err != nil {
			t.Errorf("the kept source is another: %v\n%s", err, out)
		}
	}
}

func TestADraftWritesWhatChangedAndNothingElse(t *testing.T) {
	d := newDrafts(t)
	d.write(t, map[string]string{"a.c": "1", "b.c": "1", "sub dir/it's.h": "1", "becomes/folder": "1", "folder": "1", "gone/only.h": "1", "script.sh": "1", "-n": "1", "naïve.c": "1"})
	if err := os.Symlink("a.c", filepath.Join(d.d.From, "link")); err != nil {
		t.Fatal(err)
	}
	if out, err := d.run(t, "true", "echo first >object", "true"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.same(t)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"a.c", "b.c", "naïve.c", "sub dir/it's.h", "script.sh"} {
		if err := os.Chtimes(filepath.Join(d.d.Source, name), old, old); err != nil {
			t.Fatal(err)
		}
	}

	// A new content, an old time; a new time, the same content; and all the rest.
	d.write(t, map[string]string{"a.c": "2", "b.c": "1", "new.c": "1"})
	if err := os.Chtimes(filepath.Join(d.d.From, "a.c"), old.Add(-time.Hour), old.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"becomes", "folder", "gone", "link"} {
		if err := os.RemoveAll(filepath.Join(d.d.From, name)); err != nil {
			t.Fatal(err)
		}
	}
	d.write(t, map[string]string{"becomes": "now a file", "folder/with": "a file"})
	if err := os.Symlink("b.c", filepath.Join(d.d.From, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(d.d.From, "script.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := d.run(t, "cat object", "true", "true")
	if err != nil || !strings.Contains(out, "first") {
		t.Fatalf("the build folder was not kept: %v\n%s", err, out)
	}
	d.same(t)
	var newer []string
	for _, name := range []string{"a.c", "b.c", "naïve.c", "sub dir/it's.h", "script.sh"} {
		info, err := os.Stat(filepath.Join(d.d.Source, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.ModTime().After(old.Add(time.Minute)) {
			newer = append(newer, name)
		}
	}
	if want := []string{"a.c", "script.sh"}; !slices.Equal(newer, want) {
		t.Errorf("it wrote %q, want %q", newer, want)
	}
}

func TestADraftAfterAFailureGoesOnAndAfterAKillBeginsAnew(t *testing.T) {
	d := newDrafts(t)
	d.write(t, map[string]string{"a.c": "1"})
	if out, err := d.run(t, "true", "echo whole >object; false", "true"); err == nil {
		t.Fatalf("a build that fails is none: %s", out)
	}
	if out, err := d.run(t, "true", "cat object", "true"); err != nil {
		t.Fatalf("what a failed build made is whole: %v\n%s", err, out)
	}
	if out, err := d.run(t, "true", "echo half >object; kill -9 $$", "true"); err == nil {
		t.Fatalf("it was killed: %s", out)
	}
	out, err := d.run(t, "true", "[ ! -e object ]", "true")
	if err != nil || !strings.Contains(out, "starting from nothing") {
		t.Errorf("half an object was kept: %v\n%s", err, out)
	}
	d.same(t)
	if out, err := d.run(t, "true", "echo again", "true"); err != nil || strings.Contains(out, "starting from nothing") {
		t.Errorf("once is enough: %v\n%s", err, out)
	}
}

func TestADraftRefusesANameItCannotCarry(t *testing.T) {
	d := newDrafts(t)
	d.write(t, map[string]string{"two\nlines": "1"})
	if out, err := d.run(t, "true", "true", "true"); err == nil || !strings.Contains(out, "build without --draft") {
		t.Errorf("got %v\n%s", err, out)
	}
}

func TestADraftHasAKeyAndArgumentsOfItsOwn(t *testing.T) {
	m, err := matrix.Load("m.yaml", []byte(stepsMatrix))
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	release := plan(t, m, "cpu", o)
	o.Draft, o.Dirs = true, matrix.DraftDirs
	draft := plan(t, m, "cpu", o)
	if draft.Key == release.Key || !draft.Draft || release.Draft {
		t.Errorf("key %s and %s, draft %v and %v", draft.Key, release.Key, draft.Draft, release.Draft)
	}
	o.Source.Commit = strings.Repeat("5", 40)
	if changed := plan(t, m, "cpu", o); !slices.Equal(changed.CMake, draft.CMake) || changed.Key == draft.Key {
		t.Errorf("another commit: arguments %q and %q, keys %s and %s", changed.CMake, draft.CMake, changed.Key, draft.Key)
	}
	o.Builder = matrix.BuilderHost
	cell, err := m.Cell("cpu")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Plan(cell, o); err == nil {
		t.Error("a host keeps no folder, and a draft was planned for one")
	}
}

func TestADraftConfiguresAgainWhereWhatCMakeKnowsChanged(t *testing.T) {
	d := newDrafts(t)
	d.write(t, map[string]string{"a.c": "1"})
	configure := func(more string) string { return "echo configured >>log; : >build.ninja" + more }
	steps := []struct {
		name, configure string
		change          func()
		runs            int
	}{
		{"the first time", configure(""), func() {}, 1},
		{"nothing changed", configure(""), func() {}, 1},
		{"a file changed", configure(""), func() { d.write(t, map[string]string{"a.c": "2"}) }, 1},
		{"a file is new", configure(""), func() { d.write(t, map[string]string{"b.c": "1"}) }, 2},
		{"other arguments", configure("; :"), func() {}, 3},
		{"and again", configure("; :"), func() {}, 3},
	}
	for _, s := range steps {
		s.change()
		if out, err := d.run(t, s.configure, "true", "true"); err != nil {
			t.Fatalf("%s: %v\n%s", s.name, err, out)
		}
		log, err := os.ReadFile(filepath.Join(d.d.Build, "log"))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(log), "\n"); n != s.runs {
			t.Errorf("%s: configured %d times, want %d", s.name, n, s.runs)
		}
	}
	if out, err := d.run(t, configure("; exit 1"), "true", "true"); err == nil {
		t.Fatalf("a configure that fails: %s", out)
	}
	if out, err := d.run(t, configure("; exit 1"), "true", "true"); err == nil {
		t.Fatalf("it was taken for done: %s", out)
	}
}

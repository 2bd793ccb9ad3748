package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTreeThatAnotherFetchPutThereMeanwhileIsNotSwapped(t *testing.T) {
	g := git{env: gitEnv(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.org",
		"GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.org"))}
	s := shelf{t.TempDir()}
	st, err := s.stage()
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	work := filepath.Join(st.path, "tree")
	run := func(dir string, args ...string) string {
		t.Helper()
		out, err := g.run(t.Context(), dir, args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	run("", "init", "--quiet", "--template=", "--", work)
	if err := os.WriteFile(filepath.Join(work, "file"), []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(work, "add", ".")
	run(work, "commit", "--quiet", "-m", "x")
	commit := run(work, "rev-parse", "HEAD")

	// The faster one is in place, and its build reads it.
	dir := filepath.Join(s.path, commit)
	if out, err := exec.Command("cp", "-R", work, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.place(t.Context(), g, work, commit)
	if err != nil || got != dir {
		t.Fatalf("%q, %v", got, err)
	}
	after, err := os.Stat(dir)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the tree was swapped below its reader: %v", err)
	}

	// A tree of another commit under that name is of no use.
	run(dir, "-c", "user.name=T", "commit", "--quiet", "--allow-empty", "-m", "y")
	if got, err := s.place(t.Context(), g, work, commit); err != nil || got != dir || run(dir, "rev-parse", "HEAD") != commit {
		t.Errorf("%q, %v", got, err)
	}
}

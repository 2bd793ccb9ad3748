package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A commit says nothing about files that git was told not to look at.
func TestFilesThatGitDoesNotLookAtCount(t *testing.T) {
	for _, flag := range []string{"--assume-unchanged", "--skip-worktree"} {
		dir := t.TempDir()
		git := func(args ...string) {
			t.Helper()
			c := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.invalid"}, args...)...)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v\n%s", args, err, out)
			}
		}
		file := filepath.Join(dir, "a.c")
		if err := os.WriteFile(file, []byte("int a;\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		git("init", "--quiet")
		git("add", ".")
		git("commit", "--quiet", "--message", "x")
		before, err := Resolve(t.Context(), Options{Spec: dir})
		if err != nil || before.ID.Tree != "" {
			t.Fatalf("%+v, %v", before.ID, err)
		}
		git("update-index", flag, "a.c")
		if err := os.WriteFile(file, []byte("int b = 1;\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		after, err := Resolve(t.Context(), Options{Spec: dir})
		if err != nil || after.ID == before.ID {
			t.Errorf("%s: another file, and still %+v, %v", flag, after.ID, err)
		}
	}
}

package source_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/source"
	"github.com/waqasm86/llcuda/matrix"
)

// repo is a real repository.
type repo struct {
	t   *testing.T
	dir string
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r repo) commit(text string) string {
	r.t.Helper()
	r.write("CMakeLists.txt", text)
	r.git("add", ".")
	r.git("commit", "-q", "-m", text)
	return r.git("rev-parse", "HEAD")
}

// newRepo has two commits: b100 stands on the first, main on the second.
func newRepo(t *testing.T, name string) (r repo, first, second string) {
	r = repo{t, filepath.Join(t.TempDir(), name)}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q")
	first = r.commit("one")
	r.git("tag", "-a", "-m", "x", "b100")
	r.git("tag", "also")
	second = r.commit("two")
	return r, first, second
}

type fixture struct {
	t     *testing.T
	cache string
	log   bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t: t, cache: filepath.Join(t.TempDir(), "a cache")}
}

func (f *fixture) env() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_DIR=/nowhere", "GIT_WORK_TREE=/nowhere")
}

func (f *fixture) resolve(spec string) (source.Tree, error) {
	return source.Resolve(f.t.Context(), source.Options{Spec: spec, CacheDir: f.cache, Log: &f.log, Env: f.env()})
}

func (f *fixture) must(spec string) source.Tree {
	f.t.Helper()
	tree, err := f.resolve(spec)
	if err != nil {
		f.t.Fatalf("%s: %v", spec, err)
	}
	return tree
}

func content(t *testing.T, tree source.Tree) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tree.Dir, "CMakeLists.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRepositoryByURL(t *testing.T) {
	r, first, second := newRepo(t, "a repo")
	r.git("branch", "feature/x", first)
	url := "file://" + r.dir
	for _, c := range []struct{ name, spec, ref, commit, content string }{
		{"HEAD where no ref is named", url, "", second, "two"},
		{"a branch", url + "@main", "main", second, "two"},
		{"a branch with a slash", url + "@feature/x", "feature/x", first, "one"},
		{"an annotated tag is its commit", url + "@b100", "b100", first, "one"},
		{"a full ref name", url + "@refs/tags/also", "refs/tags/also", first, "one"},
		{"a commit that no ref names", url + "@" + first, "", first, "one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			tree := f.must(c.spec)
			if want := (matrix.SourceID{Ref: c.ref, Commit: c.commit}); tree.ID != want {
				t.Errorf("ID %+v, want %+v", tree.ID, want)
			}
			if got := content(t, tree); got != c.content {
				t.Errorf("content %q", got)
			}
			if again := f.must(c.spec); again != tree {
				t.Errorf("again: %+v", again)
			}
			if n := strings.Count(f.log.String(), "fetching"); n != 1 {
				t.Errorf("fetched %d times:\n%s", n, f.log.String())
			}
		})
	}
}

func TestMovedBranchIsFetchedAndTheOldTreeStays(t *testing.T) {
	r, _, _ := newRepo(t, "repo")
	f := newFixture(t)
	old := f.must("file://" + r.dir)
	third := r.commit("three")
	now := f.must("file://" + r.dir)
	if now.ID.Commit != third || content(t, now) != "three" || content(t, old) != "two" {
		t.Errorf("now %+v %q, old %q", now, content(t, now), content(t, old))
	}
}

func TestWithoutNetworkTheCopyServesAndSaysSo(t *testing.T) {
	r, first, second := newRepo(t, "repo")
	f := newFixture(t)
	url := "file://" + r.dir
	f.must(url + "@main")
	f.must(url + "@" + first)
	if err := os.Rename(r.dir, r.dir+".away"); err != nil {
		t.Fatal(err)
	}
	f.log.Reset()
	if tree := f.must(url + "@main"); tree.ID.Commit != second || content(t, tree) != "two" {
		t.Errorf("%+v", tree)
	}
	if !strings.Contains(f.log.String(), "using the copy") {
		t.Errorf("log %q", f.log.String())
	}
	f.log.Reset()
	f.must(url + "@" + first)
	if f.log.Len() > 0 {
		t.Errorf("a commit needs no network, yet: %s", f.log.String())
	}
	_, err := f.resolve(url + "@b100")
	var unreachable *source.RepositoryError
	if !errors.As(err, &unreachable) || !strings.Contains(unreachable.Hint(), "--source DIR") {
		t.Errorf("error %v", err)
	}
}

func TestEditedCopyIsPutBack(t *testing.T) {
	r, _, second := newRepo(t, "repo")
	f := newFixture(t)
	tree := f.must("file://" + r.dir + "@" + second)
	edit := repo{t, tree.Dir}
	edit.write("CMakeLists.txt", "evil")
	edit.write("extra/file", "x")
	tree = f.must("file://" + r.dir + "@" + second)
	if content(t, tree) != "two" {
		t.Error("the edit stayed")
	}
	if _, err := os.Stat(filepath.Join(tree.Dir, "extra")); err == nil {
		t.Error("the extra file stayed")
	}
}

func TestKilledFetchLeavesNothingUnderAFinalName(t *testing.T) {
	r, _, second := newRepo(t, "repo")
	f := newFixture(t)
	tree := f.must("file://" + r.dir)
	shelf := filepath.Dir(tree.Dir)
	// What a killed process leaves: a staging folder, and at worst a tree whose
	// folder is there and empty.
	if err := os.RemoveAll(tree.Dir); err != nil {
		t.Fatal(err)
	}
	repo{t, filepath.Join(shelf, ".staging-123")}.write("tree/half", "x")
	if err := os.Mkdir(tree.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if again := f.must("file://" + r.dir); again != tree || content(t, again) != "two" {
		t.Errorf("%+v", again)
	}
	entries, _ := os.ReadDir(shelf)
	for _, e := range entries {
		if e.Name() != second && !strings.HasPrefix(e.Name(), "ref-") {
			t.Errorf("%s is left over", e.Name())
		}
	}
}

func TestCancelledFetch(t *testing.T) {
	r, _, _ := newRepo(t, "repo")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := source.Resolve(ctx, source.Options{Spec: "file://" + r.dir, CacheDir: t.TempDir()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestUnknownRefNamesWhatThereIs(t *testing.T) {
	r, _, _ := newRepo(t, "repo")
	f := newFixture(t)
	for _, ref := range []string{"b101", "1234567", strings.Repeat("a", 40)} {
		_, err := f.resolve("file://" + r.dir + "@" + ref)
		var unknown *source.RefError
		if !errors.As(err, &unknown) {
			t.Errorf("%s: error %T %v", ref, err, err)
			continue
		}
		if len(ref) < 40 && !strings.Contains(unknown.Hint(), "b100") {
			t.Errorf("%s: hint %q", ref, unknown.Hint())
		}
	}
}

func TestBundleFile(t *testing.T) {
	r, first, second := newRepo(t, "repo")
	f := newFixture(t)
	dir := filepath.Join(t.TempDir(), "with @ and space")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	all, headless := filepath.Join(dir, "all.bundle"), filepath.Join(dir, "one.bundle")
	r.git("bundle", "create", "-q", all, "HEAD", "--all")
	r.git("bundle", "create", "-q", headless, "main")
	for _, c := range []struct{ name, spec, url, ref, commit, content string }{
		{"HEAD", all, "bundle:all.bundle", "", second, "two"},
		{"a tag", all + "@b100", "bundle:all.bundle", "b100", first, "one"},
		{"a commit takes the build tag that stands at it", all + "@" + first, "bundle:all.bundle", "b100", first, "one"},
		{"the one ref of a bundle without HEAD", headless, "bundle:one.bundle", "", second, "two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := f.must(c.spec)
			if want := (matrix.SourceID{URL: c.url, Ref: c.ref, Commit: c.commit}); tree.ID != want {
				t.Errorf("ID %+v, want %+v", tree.ID, want)
			}
			if got := content(t, tree); got != c.content {
				t.Errorf("content %q", got)
			}
		})
	}
	t.Run("a damaged bundle is said to be one", func(t *testing.T) {
		data, err := os.ReadFile(all)
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(dir, "cut.bundle")
		if err := os.WriteFile(cut, data[:len(data)-40], 0o644); err != nil {
			t.Fatal(err)
		}
		for _, spec := range []string{cut, filepath.Join(r.dir, "CMakeLists.txt")} {
			var damaged *source.RepositoryError
			if _, err := f.resolve(spec); !errors.As(err, &damaged) {
				t.Errorf("%s: error %T %v", spec, err, err)
			}
		}
	})
	t.Run("a ref that is not in it", func(t *testing.T) {
		var unknown *source.RefError
		if _, err := f.resolve(all + "@nope"); !errors.As(err, &unknown) || !strings.Contains(unknown.Hint(), "b100") {
			t.Errorf("error %v", err)
		}
	})
}

var treeDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func TestFolder(t *testing.T) {
	f := newFixture(t)
	t.Run("a clean checkout is its commit, with its tag and public origin", func(t *testing.T) {
		r, first, _ := newRepo(t, "a repo")
		r.git("checkout", "-q", "b100")
		r.git("remote", "add", "origin", "https://user:secret@example.org/o/r.git?token=1")
		if got, want := f.must(r.dir).ID, (matrix.SourceID{URL: "https://example.org/o/r.git", Ref: "b100", Commit: first}); got != want {
			t.Errorf("ID %+v, want %+v", got, want)
		}
	})
	t.Run("cmake's build folder changes nothing", func(t *testing.T) {
		r, _, second := newRepo(t, "repo")
		r.write("build/CMakeCache.txt", "x")
		if got, want := f.must(r.dir).ID, (matrix.SourceID{Commit: second}); got != want {
			t.Errorf("ID %+v, want %+v", got, want)
		}
	})
	for name, change := range map[string]func(r repo){
		"a changed file":                        func(r repo) { r.write("CMakeLists.txt", "changed") },
		"a new file":                            func(r repo) { r.write("new", "x") },
		"an ignored file, which a build sees":   func(r repo) { r.write(".git/info/exclude", "secret\n"); r.write("secret", "x") },
		"a change that is staged and not taken": func(r repo) { r.write("new", "x"); r.git("add", "new") },
	} {
		t.Run(name+" makes it known by its files too", func(t *testing.T) {
			r, _, second := newRepo(t, "repo")
			change(r)
			id := f.must(r.dir).ID
			if id.Commit != second || !treeDigest.MatchString(id.Tree) {
				t.Errorf("ID %+v", id)
			}
		})
	}
	t.Run("a folder within somebody else's checkout is not that checkout", func(t *testing.T) {
		r, _, _ := newRepo(t, "repo")
		r.write("testdata/fixture/.llcuda-fixture", "")
		tree := f.must(filepath.Join(r.dir, "testdata", "fixture"))
		if tree.ID.Commit != "" || !treeDigest.MatchString(tree.ID.Tree) || !tree.ID.Fixture {
			t.Errorf("ID %+v", tree.ID)
		}
	})
	t.Run("without git a checkout is known by its files", func(t *testing.T) {
		r, _, _ := newRepo(t, "repo")
		tree, err := source.Resolve(t.Context(), source.Options{Spec: r.dir, Log: &f.log, Env: []string{"PATH=" + t.TempDir()}})
		if err != nil || tree.ID.Commit != "" || !treeDigest.MatchString(tree.ID.Tree) {
			t.Errorf("%+v, %v", tree, err)
		}
		_, err = source.Resolve(t.Context(), source.Options{Spec: "file://" + r.dir, CacheDir: f.cache, Env: []string{"PATH=" + t.TempDir()}})
		var missing *source.GitMissingError
		if !errors.As(err, &missing) || !strings.Contains(missing.Hint(), "apt-get install git") {
			t.Errorf("error %v", err)
		}
	})
}

func TestFolderDigest(t *testing.T) {
	f := newFixture(t)
	tree := func(t *testing.T, change func(r repo)) string {
		r := repo{t, t.TempDir()}
		r.write("a", "1")
		r.write("b/c", "2")
		if err := os.Symlink("a", filepath.Join(r.dir, "link")); err != nil {
			t.Fatal(err)
		}
		change(r)
		return f.must(r.dir).ID.Tree
	}
	base := tree(t, func(repo) {})
	for _, c := range []struct {
		name   string
		same   bool
		change func(r repo)
	}{
		{"the same files elsewhere", true, func(repo) {}},
		{"an empty folder", true, func(r repo) { os.Mkdir(filepath.Join(r.dir, "empty"), 0o755) }},
		{"a .git", true, func(r repo) { r.write("b/.git/x", "x") }},
		{"a build folder", true, func(r repo) { r.write("bld/CMakeCache.txt", "x") }},
		{"another content", false, func(r repo) { r.write("a", "3") }},
		{"another name", false, func(r repo) { os.Rename(filepath.Join(r.dir, "a"), filepath.Join(r.dir, "d")) }},
		{"another mode", false, func(r repo) { os.Chmod(filepath.Join(r.dir, "a"), 0o755) }},
		{"another link", false, func(r repo) { os.Remove(filepath.Join(r.dir, "link")); os.Symlink("b", filepath.Join(r.dir, "link")) }},
		{"a file more", false, func(r repo) { r.write("b/d", "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tree(t, c.change); (got == base) != c.same {
				t.Errorf("digest %s, base %s", got, base)
			}
		})
	}
}

func TestNamesThatAreNoSource(t *testing.T) {
	f := newFixture(t)
	for _, spec := range []string{"", "no/such", "-x", "--upload-pack=evil", "https://example.org/x@-x", "https://example.org/x@a..b", "https://example.org/x@", t.TempDir() + "@main", "a\nb", "host:path"} {
		var wrong *source.SpecError
		if _, err := f.resolve(spec); !errors.As(err, &wrong) || wrong.ExitCode() != 2 {
			t.Errorf("%q: error %T %v", spec, err, err)
		}
	}
}

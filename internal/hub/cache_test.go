package hub_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/flock"
	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
)

// python puts a file into the cache as huggingface_hub does.
func python(t *testing.T, cache, repo, commit, file string, data []byte) (link string) {
	t.Helper()
	root := filepath.Join(cache, "models--"+strings.ReplaceAll(repo, "/", "--"))
	link = filepath.Join(root, "snapshots", commit, filepath.FromSlash(file))
	blob := filepath.Join(root, "blobs", hubtest.Sum(data))
	for _, dir := range []string{filepath.Dir(link), filepath.Dir(blob), filepath.Join(root, "refs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target, err := filepath.Rel(filepath.Dir(link), blob)
	if err := errors.Join(err, os.WriteFile(blob, data, 0o644), os.Symlink(target, link),
		os.WriteFile(filepath.Join(root, "refs", "main"), []byte(commit), 0o644)); err != nil {
		t.Fatal(err)
	}
	return link
}

func TestWhatPythonDownloadedIsFoundAndCheckedOnce(t *testing.T) {
	c := client(t, hubtest.New(t))
	data := model(50000)
	link := python(t, c.CacheDir(), "o/r", hubtest.Commit, "q/m.gguf", data)
	f, ok := c.Lookup("o/r", hub.Main, "q/m.gguf")
	if !ok || f.Link != link || f.SHA256 != hubtest.Sum(data) || f.Size != 50000 || f.Commit != hubtest.Commit {
		t.Fatalf("%+v", f)
	}
	reads := 0
	verify := func() error { return c.Verify(t.Context(), f, "", func(int64, int64) { reads++ }) }
	if err := verify(); err != nil || reads == 0 {
		t.Fatalf("%v after %d reads", err, reads)
	}
	reads = 0
	if err := verify(); err != nil || reads != 0 {
		t.Errorf("%v, read again", err)
	}
	// A changed byte is seen, because the time of the change is.
	data[100] ^= 1
	if err := os.WriteFile(f.Real, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var wrong *hub.WrongBytesError
	if err := verify(); !errors.As(err, &wrong) || wrong.Path != link || !strings.Contains(wrong.Hint(), "downloaded again") {
		t.Errorf("got %v", err)
	}
}

func TestADamagedBlobIsReplaced(t *testing.T) {
	h := hubtest.New(t)
	data := model(50000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": data}}
	c := client(t, h)
	path, err := get(t, c, "o/r", "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, c, "o/r", "m.gguf"); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 50000 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestAFileWithoutALinkIsUsed(t *testing.T) {
	h := hubtest.New(t)
	data := model(50000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": data}}
	c := client(t, h)
	link := python(t, c.CacheDir(), "o/r", hubtest.Commit, "m.gguf", data)
	blob, err := filepath.EvalSymlinks(link)
	if err := errors.Join(err, os.Remove(link), os.Rename(blob, link)); err != nil { // as on a file system without links
		t.Fatal(err)
	}
	f, ok := c.Lookup("o/r", hub.Main, "m.gguf")
	if !ok || f.SHA256 != "" || f.Real != link {
		t.Fatalf("%+v", f)
	}
	h.Forget()
	if path, err := get(t, c, "o/r", "m.gguf"); err != nil || path != link {
		t.Fatal(path, err)
	}
	if n := len(h.Requests()); n != 1 {
		t.Errorf("%d requests, want the one HEAD", n)
	}
}

func TestLookupFindsNothing(t *testing.T) {
	c := client(t, hubtest.New(t))
	python(t, c.CacheDir(), "o/r", hubtest.Commit, "m.gguf", model(10))
	gone := python(t, c.CacheDir(), "o/r", hubtest.Commit, "gone.gguf", model(20))
	if blob, err := filepath.EvalSymlinks(gone); err != nil || os.Remove(blob) != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string][3]string{
		"another file":             {"o/r", hub.Main, "n.gguf"},
		"another repository":       {"o/s", hub.Main, "m.gguf"},
		"another revision":         {"o/r", "v1", "m.gguf"},
		"a link without a blob":    {"o/r", hub.Main, "gone.gguf"},
		"a folder":                 {"o/r", hub.Main, "."},
		"a file outside":           {"o/r", hub.Main, "../../refs/main"},
		"a revision outside":       {"o/r", "../snapshots/x", "m.gguf"},
		"a repository outside":     {"../o", hub.Main, "m.gguf"},
		"a repository in a folder": {"a/b/c", hub.Main, "m.gguf"},
	} {
		if f, ok := c.Lookup(ask[0], ask[1], ask[2]); ok {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestTheCacheIsListed(t *testing.T) {
	c := client(t, hubtest.New(t))
	older := strings.Repeat("b", 40)
	python(t, c.CacheDir(), "o/r", older, "m.gguf", model(9))
	python(t, c.CacheDir(), "o/r", older, "old.gguf", model(11))
	python(t, c.CacheDir(), "o/r", hubtest.Commit, "m.gguf", model(10))
	python(t, c.CacheDir(), "o/r", hubtest.Commit, "README.md", model(10))
	python(t, c.CacheDir(), "a/b", hubtest.Commit, "x/y.gguf", model(12))
	if err := os.MkdirAll(filepath.Join(c.CacheDir(), "datasets--x--y", "snapshots", hubtest.Commit), 0o755); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range c.List() {
		got = append(got, f.Name())
		if f.Path == "m.gguf" && f.Size != 10 {
			t.Errorf("an older m.gguf: %+v", f)
		}
	}
	if diff := cmp.Diff([]string{"a/b:x/y.gguf", "o/r:m.gguf", "o/r:old.gguf"}, got); diff != "" {
		t.Error(diff)
	}
	if f, ok := c.Find("o/r", "m.gguf", hubtest.Sum(model(9))); !ok || f.Commit != older {
		t.Errorf("%+v", f)
	}
}

// Python holds its lock: we wait for it, say so, and find what it downloaded.
func TestALockOfPythonIsWaitedFor(t *testing.T) {
	h := hubtest.New(t)
	data := model(1000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": data}}
	c := client(t, h)
	f, err := c.Stat(t.Context(), "o/r", hub.Main, "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(c.CacheDir(), ".locks", "models--o--r", f.SHA256+".lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(lock)
	if err := errors.Join(err, flock.Lock(t.Context(), file, nil)); err != nil {
		t.Fatal(err)
	}
	h.Forget()
	_, err = c.Fetch(t.Context(), f, hub.FetchOptions{Waiting: func() {
		python(t, c.CacheDir(), "o/r", hubtest.Commit, "m.gguf", data)
		os.Remove(lock) // as newer filelocks do
		file.Close()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(h.Requests()); n > 0 {
		t.Errorf("downloaded although Python had: %+v", h.Requests())
	}
}

func TestFromEnv(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".cache", "huggingface"), 0o755); err != nil {
		t.Fatal(err)
	}
	tokenFile := filepath.Join(home, ".cache", "huggingface", "token")
	if err := os.WriteFile(tokenFile, []byte("hf_file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(pairs ...string) map[string]string {
		env := map[string]string{"HOME": home}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return env
	}
	base := hub.Env{Endpoint: hub.DefaultEndpoint, Token: "hf_file", TokenFrom: tokenFile,
		Home: filepath.Join(home, ".cache", "huggingface"), CacheDir: filepath.Join(home, ".cache", "huggingface", "hub")}
	change := func(f func(*hub.Env)) hub.Env { e := base; f(&e); return e }
	for _, c := range []struct {
		name string
		env  map[string]string
		want hub.Env
	}{
		{"nothing set", in(), base},
		{"a token", in("HF_TOKEN", " hf_env "), change(func(e *hub.Env) { e.Token, e.TokenFrom = "hf_env", "HF_TOKEN" })},
		{"the token's older name", in("HUGGING_FACE_HUB_TOKEN", "hf_old"), change(func(e *hub.Env) { e.Token, e.TokenFrom = "hf_old", "HUGGING_FACE_HUB_TOKEN" })},
		{"no token wanted", in("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"), change(func(e *hub.Env) { e.Token, e.TokenFrom = "", "" })},
		{"a token that is no header", in("HF_TOKEN", "hf_\x01"), base},
		{"a home elsewhere", in("HF_HOME", "~/hf"), change(func(e *hub.Env) {
			e.Home, e.CacheDir, e.Token, e.TokenFrom = home+"/hf", home+"/hf/hub", "", ""
		})},
		{"XDG's cache", in("XDG_CACHE_HOME", "/c"), change(func(e *hub.Env) {
			e.Home, e.CacheDir, e.Token, e.TokenFrom = "/c/huggingface", "/c/huggingface/hub", "", ""
		})},
		{"a cache elsewhere", in("HF_HUB_CACHE", "$HOME/models/$NONE"), change(func(e *hub.Env) { e.CacheDir = home + "/models/$NONE" })},
		{"a mirror", in("HF_ENDPOINT", "https://mirror.example/"), change(func(e *hub.Env) { e.Endpoint = "https://mirror.example" })},
		{"offline", in("HF_HUB_OFFLINE", "yes"), change(func(e *hub.Env) { e.Offline = true })},
		{"not offline", in("HF_HUB_OFFLINE", "0"), base},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := hub.FromEnv(c.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err := hub.FromEnv(in("HF_ENDPOINT", "huggingface.co"))
	var homeless *hub.NoHomeError
	if _, err := hub.FromEnv(map[string]string{}); !errors.As(err, &homeless) {
		t.Errorf("without a home: %v", err)
	}
	var bad *hub.EndpointError
	if !errors.As(err, &bad) || bad.ExitCode() != 2 {
		t.Errorf("got %v", err)
	}
}

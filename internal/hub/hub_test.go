package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
)

// model is some bytes; nobody here looks into them.
func model(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func client(t *testing.T, h *hubtest.Hub, change ...func(*hub.Options)) *hub.Client {
	t.Helper()
	home := t.TempDir()
	env, err := hub.FromEnv(h.Env(home))
	if err != nil {
		t.Fatal(err)
	}
	o := hub.Options{Env: env, Backoff: time.Millisecond, Remember: filepath.Join(home, "verified.json")}
	for _, f := range change {
		f(&o)
	}
	c, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func withToken(o *hub.Options) { o.Token, o.TokenFrom = hubtest.Token, "HF_TOKEN" }

// get is Stat and Fetch.
func get(t *testing.T, c *hub.Client, repo, file string) (string, error) {
	t.Helper()
	f, err := c.Stat(t.Context(), repo, hub.Main, file)
	if err != nil {
		return "", err
	}
	return c.Fetch(t.Context(), f, hub.FetchOptions{})
}

func TestADownloadLiesWherePythonLooks(t *testing.T) {
	h := hubtest.New(t)
	data := model(300000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"sub/m.gguf": data}}
	c := client(t, h)
	path, err := get(t, c, "o/r", "sub/m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(c.CacheDir(), "models--o--r")
	if want := filepath.Join(root, "snapshots", hubtest.Commit, "sub", "m.gguf"); path != want {
		t.Errorf("it is at %s, want %s", path, want)
	}
	target, err := os.Readlink(path)
	if want := filepath.Join("..", "..", "..", "blobs", hubtest.Sum(data)); err != nil || target != want {
		t.Errorf("links to %s (%v), want %s", target, err, want)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("other bytes (%v)", err)
	}
	if ref, err := os.ReadFile(filepath.Join(root, "refs", "main")); err != nil || string(ref) != hubtest.Commit {
		t.Errorf("main is %q (%v)", ref, err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "*", "*unverified")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if st, err := os.Stat(filepath.Join(c.CacheDir(), ".locks", "models--o--r", hubtest.Sum(data)+".lock")); err != nil || st.Size() != 0 {
		t.Errorf("huggingface_hub's lock was not used (%v)", err)
	}
}

func TestWhatIsThereIsNotDownloadedAgain(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": model(1000)}}
	c := client(t, h)
	if _, err := get(t, c, "o/r", "m.gguf"); err != nil {
		t.Fatal(err)
	}
	h.Forget()
	if _, err := get(t, c, "o/r", "m.gguf"); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.Requests() {
		if r.Method == http.MethodGet {
			t.Errorf("asked again for %+v", r)
		}
	}
}

func TestANewCommitWithTheSameBytesCostsALink(t *testing.T) {
	h := hubtest.New(t)
	repo := &hubtest.Repo{Files: map[string][]byte{"m.gguf": model(1000)}}
	h.Repos["o/r"] = repo
	c := client(t, h)
	if _, err := get(t, c, "o/r", "m.gguf"); err != nil {
		t.Fatal(err)
	}
	repo.Commit = strings.Repeat("a", 40)
	h.Forget()
	path, err := get(t, c, "o/r", "m.gguf")
	if err != nil || !strings.Contains(path, repo.Commit) {
		t.Fatal(path, err)
	}
	if n := len(h.Requests()); n != 1 {
		t.Errorf("%d requests, want the one HEAD", n)
	}
	if commit, ok := c.Ref("o/r", hub.Main); !ok || commit != repo.Commit {
		t.Errorf("main is %s", commit)
	}
}

// The hub redirects to storage of another name, and to another port of its own.
func TestTheTokenNeverLeavesTheHub(t *testing.T) {
	for _, c := range []struct {
		name string
		cdn  func(h *hubtest.Hub) string
	}{
		{"to another host", func(h *hubtest.Hub) string { return h.CDN }},
		{"to another port of the same host", func(h *hubtest.Hub) string { return strings.Replace(h.CDN, "localhost", "127.0.0.1", 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hubtest.New(t)
			h.CDN = c.cdn(h)
			h.Repos["o/private"] = &hubtest.Repo{Private: true, Files: map[string][]byte{"m.gguf": model(5000)}}
			h.CutAt = 2000
			cl := client(t, h, withToken)
			if _, err := get(t, cl, "o/private", "m.gguf"); err != nil {
				t.Fatal(err)
			}
			f, err := cl.Stat(t.Context(), "o/private", hub.Main, "m.gguf")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cl.Prefix(t.Context(), f, 10); err != nil {
				t.Fatal(err)
			}
			var front, stored int
			for _, r := range h.Requests() {
				switch {
				case r.CDN && r.Auth != "":
					t.Errorf("the storage got %q", r.Auth)
				case r.CDN:
					stored++
				case r.Auth != "Bearer "+hubtest.Token:
					t.Errorf("the hub got %q", r.Auth)
				default:
					front++
				}
			}
			if front == 0 || stored < 3 {
				t.Errorf("%d requests to the hub and %d to the storage: nothing was tested", front, stored)
			}
		})
	}
}

// A redirect of the hub to somebody who redirects back must not carry it either way.
func TestTheTokenDoesNotFollowAHeadRequestOut(t *testing.T) {
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Authorization")) }))
	defer other.Close()
	h := hubtest.New(t)
	h.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	_, err := client(t, h, withToken).Stat(t.Context(), "o/r", hub.Main, "m.gguf")
	var not *hub.NotHubError
	if !errors.As(err, &not) {
		t.Errorf("got %v", err)
	}
	if _, err := client(t, h, withToken).Tree(t.Context(), "o/r", hub.Main); err == nil {
		t.Error("a listing from somewhere else was taken")
	}
	for _, auth := range got {
		if auth != "" {
			t.Errorf("somebody else got %q", auth)
		}
	}
}

func TestARenamedRepositoryIsFollowed(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/new"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": model(100)}}
	h.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/o/old/") {
			return false
		}
		http.Redirect(w, r, strings.Replace(r.URL.Path, "/o/old/", "/o/new/", 1), http.StatusTemporaryRedirect)
		return true
	}
	path, err := get(t, client(t, h), "o/old", "m.gguf")
	if err != nil || !strings.Contains(path, "models--o--old") {
		t.Errorf("%s, %v", path, err)
	}
}

func TestADigestIsFoundWithoutTheLinkedHeaders(t *testing.T) {
	h := hubtest.New(t)
	h.NoLinked, h.PageSize = true, 2
	files := map[string][]byte{}
	for i := range 7 {
		files[fmt.Sprintf("m%d.gguf", i)] = model(100 + i)
	}
	h.Repos["o/r"] = &hubtest.Repo{Files: files}
	f, err := client(t, h).Stat(t.Context(), "o/r", hub.Main, "m6.gguf")
	if err != nil || f.SHA256 != hubtest.Sum(files["m6.gguf"]) || f.Size != 106 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAListingComesInPages(t *testing.T) {
	h := hubtest.New(t)
	h.PageSize = 3
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"README.md": []byte("x"), "a/1.gguf": model(1), "a/2.gguf": model(2), "b.gguf": model(3), "c.gguf": model(4)}}
	list, err := client(t, h).Tree(t.Context(), "o/r", hub.Main)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Path)
		if (e.SHA256 == "") != (e.Path == "README.md") {
			t.Errorf("%+v", e)
		}
	}
	if diff := cmp.Diff([]string{"README.md", "a/1.gguf", "a/2.gguf", "b.gguf", "c.gguf"}, names); diff != "" {
		t.Error(diff)
	}
}

// What goes wrong with the bytes.
func TestDownloadsThatGoWrong(t *testing.T) {
	data := model(200000)
	setup := func(t *testing.T) (*hubtest.Hub, *hub.Client) {
		h := hubtest.New(t)
		h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": data}}
		return h, client(t, h)
	}
	t.Run("a connection that breaks is taken up again", func(t *testing.T) {
		h, c := setup(t)
		h.CutAt = 70000
		if _, err := get(t, c, "o/r", "m.gguf"); err != nil {
			t.Fatal(err)
		}
		resumed := false
		for _, r := range h.Requests() {
			resumed = resumed || r.CDN && r.Range == "bytes=70000-"
		}
		if !resumed {
			t.Errorf("no range: %+v", h.Requests())
		}
	})
	t.Run("a changed byte is refused and leaves nothing", func(t *testing.T) {
		h, c := setup(t)
		h.Flip = true
		_, err := get(t, c, "o/r", "m.gguf")
		var wrong *hub.WrongBytesError
		if !errors.As(err, &wrong) || wrong.ExitCode() != 4 || !strings.Contains(wrong.Want, hubtest.Sum(data)) {
			t.Fatalf("got %v", err)
		}
		if _, ok := c.Lookup("o/r", hub.Main, "m.gguf"); ok {
			t.Error("it can be found in the cache")
		}
	})
	t.Run("a login page in place of the bytes is refused", func(t *testing.T) {
		h, c := setup(t)
		h.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/cdn/") {
				hubtest.Portal(w, http.StatusOK)
				return true
			}
			return false
		}
		_, err := get(t, c, "o/r", "m.gguf")
		var wrong *hub.WrongBytesError
		if !errors.As(err, &wrong) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a disk without room is found out first", func(t *testing.T) {
		h, c := setup(t)
		f, err := c.Stat(t.Context(), "o/r", hub.Main, "m.gguf")
		if err != nil {
			t.Fatal(err)
		}
		h.Forget()
		o := hub.FetchOptions{FreeSpace: func(string) (uint64, error) { return 1000, nil }}
		for _, err := range []error{c.Space([]hub.File{f}, o), second(c.Fetch(t.Context(), f, o))} {
			var told *hub.DownloadError
			if !errors.As(err, &told) || told.ExitCode() != 4 || !strings.Contains(told.Hint(), "HF_HOME") || strings.Contains(told.Hint(), "LLCUDA_HOME") {
				t.Errorf("got %v", err)
			}
		}
		if n := len(h.Requests()); n > 0 {
			t.Errorf("%d requests all the same", n)
		}
	})
	t.Run("a folder that may not be written is named", func(t *testing.T) {
		_, c := setup(t)
		if err := os.MkdirAll(filepath.Dir(c.CacheDir()), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.CacheDir(), nil, 0o644); err != nil { // root may write everywhere: a file in place of the folder
			t.Fatal(err)
		}
		_, err := get(t, c, "o/r", "m.gguf")
		var told *hub.DownloadError
		if !errors.As(err, &told) || !strings.Contains(told.Error(), c.CacheDir()) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cancelled download keeps what came", func(t *testing.T) {
		h, c := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		f, err := c.Stat(ctx, "o/r", hub.Main, "m.gguf")
		if err != nil {
			t.Fatal(err)
		}
		h.CutAt = 50000
		_, err = c.Fetch(ctx, f, hub.FetchOptions{Retrying: func(error, time.Duration) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if st, err := os.Stat(filepath.Join(c.CacheDir(), "models--o--r", "blobs", f.SHA256+".unverified")); err != nil || st.Size() != 50000 {
			t.Errorf("kept: %v, %v", st, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestTenAtOnceDownloadOnce(t *testing.T) {
	h := hubtest.New(t)
	data := model(500000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": data}}
	c := client(t, h)
	f, err := c.Stat(t.Context(), "o/r", hub.Main, "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			path, err := c.Fetch(t.Context(), f, hub.FetchOptions{})
			if got, rerr := os.ReadFile(path); err != nil || rerr != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %v %v", path, err, rerr)
			}
		})
	}
	wg.Wait()
	stored := 0
	for _, r := range h.Requests() {
		if r.CDN {
			stored++
		}
	}
	if stored != 1 {
		t.Errorf("downloaded %d times", stored)
	}
}

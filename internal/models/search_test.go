package models_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
	"github.com/waqasm86/llcuda/internal/models"
)

// user is somebody with a home and a hub; what they were told is in notes.
type user struct {
	hub   *hubtest.Hub
	home  string
	notes []string
	o     models.Options
	env   hub.Options
}

func newUser(t *testing.T, h *hubtest.Hub) *user {
	t.Helper()
	u := &user{hub: h, home: t.TempDir()}
	env, err := hub.FromEnv(h.Env(filepath.Join(u.home, "hf")))
	if err != nil {
		t.Fatal(err)
	}
	u.env = hub.Options{Env: env, Backoff: time.Millisecond, Remember: filepath.Join(u.home, "verified.json")}
	u.o = models.Options{CacheDir: filepath.Join(u.home, "cache"), Note: func(s string) { u.notes = append(u.notes, s) },
		Hub: func() (*hub.Client, error) { return hub.New(u.env) }}
	return u
}

func (u *user) resolve(t *testing.T, spec string) (models.Model, error) {
	t.Helper()
	u.hub.Forget()
	u.notes = nil
	return models.Resolve(t.Context(), spec, u.o)
}

func (u *user) must(t *testing.T, spec string) models.Model {
	t.Helper()
	m, err := u.resolve(t, spec)
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return m
}

// split is a model in two parts, under names in a folder.
func split(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for i, name := range []string{"BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"} {
		files[name] = withKeys(t, tiny(t), func(put func(string, uint32, any)) {
			put("split.no", 2, uint16(i))
			put("split.count", 2, uint16(2))
		})
	}
	return files
}

func zoo(t *testing.T) *hubtest.Hub {
	t.Helper()
	h := hubtest.New(t)
	other := withKeys(t, tiny(t), func(put func(string, uint32, any)) { put("x", 8, "another model") })
	files := split(t)
	files["README.md"] = []byte("read me")
	files["m-Q4_K_M.gguf"] = tiny(t)
	files["m-Q8_0.gguf"] = other
	files["mmproj-F16.gguf"] = withKeys(t, tiny(t), func(put func(string, uint32, any)) { put("general.type", 8, "mmproj") })
	files["page.gguf"] = []byte("<!DOCTYPE html><title>not a model</title>" + strings.Repeat(" ", 4000))
	h.Repos["o/zoo-GGUF"] = &hubtest.Repo{Files: files, Licence: "apache-2.0"}
	return h
}

func TestEveryWayOfNamingAModelOfTheHub(t *testing.T) {
	h := zoo(t)
	for _, c := range []struct{ name, spec, file string }{
		{"a file", "o/zoo-GGUF:m-Q8_0.gguf", "m-Q8_0.gguf"},
		{"a quantisation", "o/zoo-GGUF:Q4_K_M", "m-Q4_K_M.gguf"},
		{"a quantisation in small letters", "o/zoo-GGUF:q8_0", "m-Q8_0.gguf"},
		{"an address", h.URL + "/o/zoo-GGUF/resolve/main/m-Q8_0.gguf?download=true", "m-Q8_0.gguf"},
		{"the address of a page", "https://huggingface.co/o/zoo-GGUF/blob/main/m-Q8_0.gguf", "m-Q8_0.gguf"},
		{"a commit's address", h.URL + "/o/zoo-GGUF/resolve/" + hubtest.Commit + "/m-Q8_0.gguf", "m-Q8_0.gguf"},
		{"an address with its digest", h.URL + "/o/zoo-GGUF/resolve/main/m-Q4_K_M.gguf#sha256=" + hubtest.Sum(tiny(t)), "m-Q4_K_M.gguf"},
		{"all parts of a split model", "o/zoo-GGUF:BF16", "BF16/m-BF16-00001-of-00002.gguf"},
		{"a part stands for the whole", "o/zoo-GGUF:BF16/m-BF16-00002-of-00002.gguf", "BF16/m-BF16-00001-of-00002.gguf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUser(t, h)
			m := u.must(t, c.spec)
			want := filepath.Join(u.env.CacheDir, "models--o--zoo-GGUF", "snapshots", hubtest.Commit, filepath.FromSlash(c.file))
			if m.Path != want || m.Name != "tiny-random" || m.Origin == nil || m.Origin.Path != c.file {
				t.Errorf("%+v\nwant %s", m, want)
			}
			for _, part := range m.Parts {
				if _, err := gguf.CheckFile(part); err != nil {
					t.Error(err)
				}
			}
			if len(u.notes) != 1 || !strings.Contains(u.notes[0], "comes under this licence: apache-2.0") {
				t.Errorf("told %q", u.notes)
			}
			// The second time nothing is asked, and nothing said.
			if again := u.must(t, c.spec); again.Path != m.Path || len(u.notes) > 0 || len(h.Requests()) > 0 {
				t.Errorf("%s, %q, %+v", again.Path, u.notes, h.Requests())
			}
			u.env.Offline = true
			if again := u.must(t, c.spec); again.Path != m.Path {
				t.Errorf("offline it is %s", again.Path)
			}
		})
	}
}

func TestWhatTheHubHasNotIsAnsweredInWords(t *testing.T) {
	h := zoo(t)
	h.Repos["o/gated"] = &hubtest.Repo{Gated: "manual", Files: map[string][]byte{"m-Q8_0.gguf": tiny(t)}}
	h.Repos["o/weights"] = &hubtest.Repo{Files: map[string][]byte{"model.safetensors": {1}}}
	sum := strings.Repeat("0", 64)
	for _, c := range []struct {
		name, spec, what, cure string
		code                   int
	}{
		{"a repository", "o/none:Q4_0", "there is no repository o/none", "HF_TOKEN", 6},
		{"a licence to accept", "o/gated:m-Q8_0.gguf", "o/gated is gated", "accept its conditions", 4},
		{"a licence to accept, by quantisation", "o/gated:Q8_0", "o/gated is gated", "accept its conditions", 4},
		{"a file", "o/zoo-GGUF:m-Q4_KM.gguf", "o/zoo-GGUF has no file m-Q4_KM.gguf", "did you mean o/zoo-GGUF:m-Q4_K_M.gguf", 6},
		{"a quantisation", "o/zoo-GGUF:Q2_K", "no model of the quantisation Q2_K", "it has BF16, Q4_K_M, Q8_0", 6},
		{"a repository of another kind", "o/weights:Q4_0", "no model of the quantisation", "-GGUF", 6},
		{"a revision", h.URL + "/o/zoo-GGUF/resolve/v9/m-Q8_0.gguf", "no revision v9", "history", 6},
		{"other bytes than the address says", h.URL + "/o/zoo-GGUF/resolve/main/m-Q8_0.gguf#sha256=" + sum, "want sha256:000", "nothing of it was used", 4},
		{"a projector", "o/zoo-GGUF:mmproj-F16.gguf", "multimodal projector", "--mmproj", 6},
		{"a page under a model's name", "o/zoo-GGUF:page.gguf", "o/zoo-GGUF:page.gguf is a web page", "page", 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUser(t, h)
			m, err := u.resolve(t, c.spec)
			var told interface {
				Hint() string
				ExitCode() int
			}
			if !errors.As(err, &told) {
				t.Fatalf("got %+v, %v", m, err)
			}
			if !strings.Contains(err.Error(), c.what) || !strings.Contains(told.Hint(), c.cure) || told.ExitCode() != c.code {
				t.Errorf("says %q, hints %q, exit %d", err, told.Hint(), told.ExitCode())
			}
		})
	}
}

// Of a file that is no model only the beginning is read.
func TestAForeignFileIsNotDownloaded(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"big.gguf": append([]byte("PK\x03\x04"), make([]byte, 3<<20)...)}}
	u := newUser(t, h)
	_, err := u.resolve(t, "o/r:big.gguf")
	if err == nil || !strings.Contains(err.Error(), "o/r:big.gguf is a zip or PyTorch file") {
		t.Fatalf("got %v", err)
	}
	for _, r := range h.Requests() {
		if r.CDN && r.Range == "" {
			t.Errorf("all of it was asked for: %+v", r)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(u.env.CacheDir, "*", "blobs", "*")); len(found) > 0 {
		t.Errorf("in the cache: %v", found)
	}
}

func TestAHeaderLongerThanWhatIsReadFirstIsNoFault(t *testing.T) {
	h := hubtest.New(t)
	long := withKeys(t, tiny(t), func(put func(string, uint32, any)) { put("tokenizer.chat_template", 8, strings.Repeat("x", 2<<20)) })
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": long}}
	if m := newUser(t, h).must(t, "o/r:m.gguf"); !m.Header.ChatTemplate {
		t.Errorf("%+v", m.Header)
	}
}

func TestPullTakesWhatTheHubHasNow(t *testing.T) {
	h := zoo(t)
	u := newUser(t, h)
	before := u.must(t, "o/zoo-GGUF:Q4_K_M")
	repo := h.Repos["o/zoo-GGUF"]
	repo.Commit = strings.Repeat("c", 40)
	repo.Files["m-Q4_K_M.gguf"] = withKeys(t, tiny(t), func(put func(string, uint32, any)) { put("x", 8, "newer") })
	if m := u.must(t, "o/zoo-GGUF:Q4_K_M"); m.Path != before.Path || len(h.Requests()) > 0 {
		t.Errorf("serving changed the model: %s", m.Path)
	}
	u.o.Refresh = true
	if m := u.must(t, "o/zoo-GGUF:Q4_K_M"); !strings.Contains(m.Path, repo.Commit) || len(u.notes) != 1 {
		t.Errorf("%s, %q", m.Path, u.notes)
	}
	u.o.Refresh = false
	if m := u.must(t, "o/zoo-GGUF:Q4_K_M"); !strings.Contains(m.Path, repo.Commit) || len(h.Requests()) > 0 {
		t.Errorf("%s", m.Path)
	}
}

func TestADamagedCopyIsDownloadedAgain(t *testing.T) {
	h := zoo(t)
	u := newUser(t, h)
	m := u.must(t, "o/zoo-GGUF:Q4_K_M")
	data := tiny(t)
	data[len(data)-1] ^= 1 // in the weights: the header is whole
	blob, err := filepath.EvalSymlinks(m.Path)
	if err := errors.Join(err, os.WriteFile(blob, data, 0o644)); err != nil {
		t.Fatal(err)
	}
	u.env.Offline = true
	_, err = u.resolve(t, "o/zoo-GGUF:Q4_K_M")
	var wrong *hub.WrongBytesError
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Hint(), "without --offline") {
		t.Errorf("offline: %v", err)
	}
	u.env.Offline = false
	u.must(t, "o/zoo-GGUF:Q4_K_M")
	if len(u.notes) == 0 || !strings.Contains(u.notes[0], "it is downloaded again") {
		t.Errorf("told %q", u.notes)
	}
	if got, err := os.ReadFile(m.Path); err != nil || !bytes.Equal(got, tiny(t)) {
		t.Errorf("not mended (%v)", err)
	}
}

func TestOfflineTheCacheIsNamed(t *testing.T) {
	u := newUser(t, zoo(t))
	u.must(t, "o/zoo-GGUF:Q4_K_M")
	u.env.Offline = true
	for _, spec := range []string{"o/zoo-GGUF:Q8_0", "o/other:m.gguf", "gemma-3-1b-Q4_K_M", "https://example.com/m.gguf"} {
		_, err := u.resolve(t, spec)
		var offline *hub.OfflineError
		if !errors.As(err, &offline) || offline.ExitCode() != 4 {
			t.Fatalf("%s: %v", spec, err)
		}
		if !strings.Contains(spec, "://") {
			if diff := cmp.Diff([]string{"o/zoo-GGUF:m-Q4_K_M.gguf"}, offline.Cached); diff != "" {
				t.Error(diff)
			}
		}
	}
	if n := len(u.hub.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

func TestADiskWithoutRoomForAllPartsIsFoundOutFirst(t *testing.T) {
	h := zoo(t)
	u := newUser(t, h)
	one := int64(len(h.Repos["o/zoo-GGUF"].Files["BF16/m-BF16-00001-of-00002.gguf"]))
	u.o.FreeSpace = func(string) (uint64, error) { return uint64(one + one/2), nil }
	_, err := u.resolve(t, "o/zoo-GGUF:BF16")
	var told *hub.DownloadError
	if !errors.As(err, &told) || !strings.Contains(told.Hint(), "HF_HOME") {
		t.Fatalf("got %v", err)
	}
	for _, r := range h.Requests() {
		if r.CDN {
			t.Errorf("downloaded: %+v", r)
		}
	}
}

// The registry knows the bytes: of main while it has them, else of the pinned
// commit; a hub that has others is not believed.
func TestAnEntryOfTheRegistryIsHeldToItsDigest(t *testing.T) {
	const entryCommit = "f0b45be0aac41bd6a100a4b5734cad5f67255bfb"
	r, err := models.BuiltinRegistry()
	if err != nil {
		t.Fatal(err)
	}
	e, _ := r.Find("gemma-3-1b-Q4_K_M")
	h := hubtest.New(t)
	h.Repos[e.Repo] = &hubtest.Repo{Files: map[string][]byte{e.File: tiny(t)}, Older: map[string]map[string][]byte{entryCommit: {e.File: tiny(t)}}}
	u := newUser(t, h)
	_, err = u.resolve(t, e.Alias)
	var changed *models.ChangedError
	if !errors.As(err, &changed) || changed.Got != hubtest.Sum(tiny(t)) || !strings.Contains(changed.Hint(), e.Name()) || changed.ExitCode() != 4 {
		t.Fatalf("got %v", err)
	}
	// What the hub has can be had by its own name; the licence is the registry's.
	u.must(t, e.Name())
	if len(u.notes) != 1 || !strings.Contains(u.notes[0], "Gemma Terms of Use (https://ai.google.dev/gemma/terms)") {
		t.Errorf("told %q", u.notes)
	}
	// A copy in the cache with other bytes does not stand for the alias either.
	if _, err := u.resolve(t, e.Alias); !errors.As(err, &changed) {
		t.Errorf("got %v", err)
	}
}

func TestAPlainAddressIsDownloadedOnce(t *testing.T) {
	data := tiny(t)
	cut, gets := true, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gets++
		if r.URL.Path != "/m.gguf" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		if cut {
			cut = false
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:100000])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer s.Close()
	u := newUser(t, hubtest.New(t))
	m := u.must(t, s.URL+"/m.gguf?key=secret")
	if got, err := os.ReadFile(m.Path); err != nil || !bytes.Equal(got, data) || filepath.Base(m.Path) != "m.gguf" {
		t.Fatalf("%s: %v", m.Path, err)
	}
	if len(u.notes) != 1 || !strings.Contains(u.notes[0], "nothing vouches for m.gguf") || !strings.Contains(u.notes[0], hubtest.Sum(data)) {
		t.Errorf("told %q", u.notes)
	}
	asked := gets
	u.must(t, s.URL+"/m.gguf?key=secret")
	if gets != asked {
		t.Error("asked again")
	}
	// With a digest it is held to it, and nothing needs saying.
	m = u.must(t, s.URL+"/m.gguf#sha256="+hubtest.Sum(data))
	if len(u.notes) != 0 || m.Size != int64(len(data)) {
		t.Errorf("told %q", u.notes)
	}
	for spec, want := range map[string]string{
		s.URL + "/none.gguf?key=secret":                     "HTTP 404",
		s.URL + "/m.gguf#sha256=" + strings.Repeat("1", 64): "want sha256:1111",
		s.URL + "/m-00001-of-00002.gguf":                    "one part of a split model",
	} {
		_, err := u.resolve(t, spec)
		var told *models.URLError
		if !errors.As(err, &told) || !strings.Contains(err.Error(), want) || told.ExitCode() != 4 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(u.o.CacheDir, "models", "url", "*", "*.unverified")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestAPlainAddressThatIsNoModel(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { hubtest.Portal(w, http.StatusOK) }))
	defer s.Close()
	u := newUser(t, hubtest.New(t))
	_, err := u.resolve(t, s.URL+"/m.gguf")
	var damaged *gguf.DamagedError
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), "web page") || !strings.Contains(err.Error(), s.URL) {
		t.Errorf("got %v", err)
	}
}

// A file that changes between two parts of a download is not patched together.
func TestAPlainAddressWhoseFileChanges(t *testing.T) {
	old, fresh := tiny(t), withKeys(t, tiny(t), func(put func(string, uint32, any)) { put("x", 8, "newer") })
	first := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first {
			first = false
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Content-Length", strconv.Itoa(len(old)))
			_, _ = w.Write(old[:150000])
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("ETag", `"v2"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(fresh))
	}))
	defer s.Close()
	m := newUser(t, hubtest.New(t)).must(t, s.URL+"/m.gguf")
	if got, err := os.ReadFile(m.Path); err != nil || !bytes.Equal(got, fresh) {
		t.Errorf("%d bytes, want the newer %d (%v)", len(got), len(fresh), err)
	}
}

func TestTroubleWithTheFirstBytesIsNoFault(t *testing.T) {
	for name, trouble := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"busy for a moment": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"a slow line": func(http.ResponseWriter, *http.Request) bool {
			time.Sleep(500 * time.Millisecond)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := zoo(t)
			u := newUser(t, h)
			u.env.Timeout = 250 * time.Millisecond
			h.Fault = func(w http.ResponseWriter, r *http.Request) bool {
				return strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") && trouble(w, r)
			}
			u.must(t, "o/zoo-GGUF:Q4_K_M")
		})
	}
}

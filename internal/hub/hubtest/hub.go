// Package hubtest is a hub for tests: a real HTTP server that answers as
// huggingface.co does where our client asks, and a second one, of another name
// and port, that stores the bytes as its CDN does. Which answer each client
// expects was seen with llama-server, Python's huggingface_hub, @huggingface/hub
// and go-huggingface before this was written; what it does beyond that it makes up.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// Commit is main's commit in every repository that names no other.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Token is the one good token.
const Token = "hf_abcdefghijklmnopqrstuvwxyz01234567"

// Repo is a repository, by its access and its files.
type Repo struct {
	// Commit is main's; "" = Commit. Older maps older commits to their files.
	Commit string
	Files  map[string][]byte
	Older  map[string]map[string][]byte
	// Gated is "auto" or "manual"; Granted opens it to Token.
	Gated   string
	Granted bool
	// Private is shown to Token alone.
	Private bool
	Licence string
}

// Hub is the pair of servers. The fields may be changed between requests.
type Hub struct {
	URL, CDN string
	Repos    map[string]*Repo
	// Fault answers a request of either server in place of it; true = done.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// NoLinked leaves the X-Linked-* headers out, as some mirrors do.
	NoLinked bool
	// Flip changes one byte of whatever the CDN sends.
	Flip bool
	// CutAt ends the CDN's first answer for a file after this many bytes; 0 = not.
	CutAt int
	// PageSize of a listing; 0 = all files on one.
	PageSize int

	mu  sync.Mutex
	log []Request
	cut map[string]bool
}

// Request is what a client asked.
type Request struct {
	// CDN says which of the two servers was asked.
	CDN                              bool
	Method, Path, Range, Auth, Agent string
}

// New starts a hub that ends with the test.
func New(t testing.TB) *Hub {
	h, stop := Start()
	t.Cleanup(stop)
	return h
}

// Start starts a hub; stop ends it.
func Start() (h *Hub, stop func()) {
	h = &Hub{Repos: map[string]*Repo{}, cut: map[string]bool{}}
	front, store := httptest.NewServer(h.server(false)), httptest.NewServer(h.server(true))
	h.URL = front.URL
	h.CDN = strings.Replace(store.URL, "127.0.0.1", "localhost", 1)
	return h, func() { front.Close(); store.Close() }
}

// Env is the environment of a program that uses this hub, with home for its cache.
func (h *Hub) Env(home string) map[string]string {
	return map[string]string{"HF_ENDPOINT": h.URL, "HF_HOME": home, "HOME": home}
}

// Requests is what was asked so far.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log)
}

// Forget empties the record.
func (h *Hub) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = nil
}

// Sum is the SHA-256 of bytes in hexadecimal.
func Sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (h *Hub) server(cdn bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.log = append(h.log, Request{cdn, r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("Authorization"), r.UserAgent()})
		fault := h.Fault
		h.mu.Unlock()
		switch {
		case fault != nil && fault(w, r):
		case cdn:
			h.store(w, r)
		default:
			w.Header().Set("X-Request-Id", "Root=1-test")
			h.front(w, r)
		}
	})
}

// Do changes the hub while it serves: what is written in fn, a request that comes
// later from another process sees.
func (h *Hub) Do(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
}

// Fail answers as the hub refuses.
func Fail(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}

// Portal answers as a network's login page does.
func Portal(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<!DOCTYPE html><title>Log in to the network</title>"))
}

func (h *Hub) front(w http.ResponseWriter, r *http.Request) {
	auth := r.Header.Get("Authorization")
	if auth != "" && auth != "Bearer "+Token {
		Fail(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		return
	}
	path, api := strings.CutPrefix(strings.Trim(r.URL.Path, "/"), "api/models/")
	parts := strings.Split(path, "/")
	if len(parts) < 2 {
		http.NotFound(w, r)
		return
	}
	name, rest := parts[0]+"/"+parts[1], parts[2:]
	repo := h.Repos[name]
	switch {
	case repo == nil && auth == "", repo != nil && repo.Private && auth == "":
		Fail(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
		return
	case repo == nil:
		Fail(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		return
	}
	switch {
	case api && len(rest) == 0:
		answer(w, repo, map[string]any{"id": name, "sha": repo.commit(), "private": repo.Private, "gated": repo.gated(),
			"tags": []string{"gguf", "license:" + repo.Licence}})
	case api && rest[0] == "tree" && len(rest) == 2:
		h.tree(w, r, repo, rest[1])
	case api && rest[0] == "paths-info" && len(rest) == 2:
		h.pathsInfo(w, r, repo, rest[1])
	case !api && len(rest) >= 3 && rest[0] == "resolve":
		h.resolve(w, r, name, repo, rest[1], strings.Join(rest[2:], "/"), auth)
	default:
		http.NotFound(w, r)
	}
}

func (r *Repo) commit() string {
	if r.Commit == "" {
		return Commit
	}
	return r.Commit
}

func (r *Repo) gated() any {
	if r.Gated == "" {
		return false
	}
	return r.Gated
}

// at is the commit and the files of a revision; files is nil where there is none.
func (r *Repo) at(revision string) (commit string, files map[string][]byte) {
	if revision == "main" || revision == r.commit() {
		return r.commit(), r.Files
	}
	return revision, r.Older[revision]
}

func answer(w http.ResponseWriter, repo *Repo, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Repo-Commit", repo.commit())
	_ = json.NewEncoder(w).Encode(v)
}

// isLFS says which files lie in LFS: the hub does that for all large ones.
func isLFS(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".gguf") }

// blobID is Git's name of a file, or of its LFS pointer.
func blobID(name string, data []byte) string {
	if isLFS(name) {
		data = fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", Sum(data), len(data))
	}
	s := sha1.New()
	fmt.Fprintf(s, "blob %d\x00", len(data))
	s.Write(data)
	return hex.EncodeToString(s.Sum(nil))
}

func (h *Hub) tree(w http.ResponseWriter, r *http.Request, repo *Repo, revision string) {
	_, files := repo.at(revision)
	if files == nil {
		Fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
		return
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	from := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from)
	to := len(names)
	if h.PageSize > 0 && from+h.PageSize < to {
		to = from + h.PageSize
		next := url.Values{"recursive": {"true"}, "cursor": {fmt.Sprint(to)}}
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, h.URL, r.URL.Path, next.Encode()))
	}
	list := []any{}
	for _, name := range names[from:to] {
		list = append(list, entry(name, files[name], ""))
	}
	answer(w, repo, list)
}

// entry is a file in a listing; with a commit, as expand=true has it.
func entry(name string, data []byte, commit string) map[string]any {
	e := map[string]any{"type": "file", "path": name, "size": len(data), "oid": blobID(name, data)}
	if isLFS(name) {
		e["lfs"] = map[string]any{"oid": Sum(data), "size": len(data), "pointerSize": 134}
	}
	if commit != "" {
		e["lastCommit"] = map[string]any{"id": commit, "title": "add", "date": "2026-01-01T00:00:00.000Z"}
	}
	return e
}

// pathsInfo answers @huggingface/hub, which asks for files by name.
func (h *Hub) pathsInfo(w http.ResponseWriter, r *http.Request, repo *Repo, revision string) {
	commit, files := repo.at(revision)
	var asked struct{ Paths []string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		Fail(w, http.StatusBadRequest, "", err.Error())
		return
	}
	list := []any{}
	for _, name := range asked.Paths {
		if data, ok := files[name]; ok {
			list = append(list, entry(name, data, commit))
		}
	}
	answer(w, repo, list)
}

func (h *Hub) resolve(w http.ResponseWriter, r *http.Request, name string, repo *Repo, revision, file, auth string) {
	if repo.Gated != "" && (auth == "" || !repo.Granted) {
		status := http.StatusForbidden
		if auth == "" {
			status = http.StatusUnauthorized
		}
		Fail(w, status, "GatedRepo", "Access to model "+name+" is restricted.")
		return
	}
	commit, files := repo.at(revision)
	if files == nil {
		Fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	data, ok := files[file]
	if !ok {
		Fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("ETag", `"`+blobID(file, data)+`"`)
	if !isLFS(file) {
		http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(data))
		return
	}
	if !h.NoLinked {
		w.Header().Set("X-Linked-Etag", `"`+Sum(data)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(data)))
	}
	// A signature in the query, as the real one has.
	http.Redirect(w, r, h.CDN+"/cdn/"+Sum(data)+"?Signature=secret", http.StatusFound)
}

func (h *Hub) store(w http.ResponseWriter, r *http.Request) {
	sum := strings.TrimPrefix(r.URL.Path, "/cdn/")
	data := h.find(sum)
	if data == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+sum+`"`)
	if h.Flip {
		data = bytes.Clone(data)
		data[len(data)-1] ^= 1
	}
	h.mu.Lock()
	cut := h.CutAt > 0 && r.Method == http.MethodGet && !h.cut[sum]
	h.cut[sum] = h.cut[sum] || cut
	h.mu.Unlock()
	if cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:h.CutAt])
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(data))
}

func (h *Hub) find(sum string) []byte {
	for _, repo := range h.Repos {
		sets := []map[string][]byte{repo.Files}
		for _, older := range repo.Older {
			sets = append(sets, older)
		}
		for _, files := range sets {
			for _, data := range files {
				if Sum(data) == sum {
					return data
				}
			}
		}
	}
	return nil
}

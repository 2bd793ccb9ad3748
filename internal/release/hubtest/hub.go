// Package hubtest is a GitHub of our own for tests: the releases of one
// repository, with what GitHub does to uploads (broken ones, names taken or
// changed, limits, immutable releases). Every request to it and every reply of it
// is held against GitHub's own OpenAPI description, of which github-openapi.json is
// an extract; a recorded exchange says how a name that is taken is refused.
//
// It can be told to fail, and tells what it was asked and every state in which a
// release was public.
package hubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Token is the one that the fake takes.
const Token = "github_pat_test_only"

// Commits of the repository.
const (
	Head  = "1111111111111111111111111111111111111111"
	Other = "2222222222222222222222222222222222222222"
)

// Hub is the fake. Its fields may be set before it is asked; later under Do.
type Hub struct {
	t          testing.TB
	api, store *httptest.Server
	mu         sync.Mutex
	lastID     int64

	// What the repository and the token are.
	FullName, Scopes                        string
	Push, App, Archived, Immutable, Private bool
	// Anonymous: who brings no token may read, as in any public repository.
	Anonymous bool
	// NoDigests as on an old GitHub Enterprise Server; ShortLists: a release names
	// two of its assets only, and a page has three.
	NoDigests, ShortLists bool
	Rename                func(string) string
	Now                   func() time.Time

	// Releases are all of them, oldest first; Latest is the id of GitHub's "latest".
	Releases []*Release
	Tags     map[string]string
	Commits  map[string]bool
	Latest   int64
	// Burnt are the tags of immutable releases, for ever.
	Burnt map[string]bool

	Calls []Call
	// Public are, by tag, the states in which a release was public.
	Public map[string][]string

	// Fault says what goes wrong with a request; Hook is told its phases: arrived,
	// half (of an upload), done, answered.
	Fault func(c Call) *Fault
	Hook  func(n int, phase string)
}

// Call is one request.
type Call struct {
	N int
	// Path is without the repository's.
	Method, Path string
	At           time.Time
	Status       int
}

// Change tells a request that makes something from one that asks.
func (c Call) Change() bool { return c.Method != http.MethodGet }

func (c Call) String() string { return c.Method + " " + c.Path }

// Fault is what a request gets instead of its due.
type Fault struct {
	// Act: what was asked is done all the same.
	Act bool
	// Starter: an upload leaves a broken asset.
	Starter bool
	Status  int
	Header  map[string]string
	Message string
	// Cut: the connection ends without an answer.
	Cut bool
}

// Release is a release of the fake. Fixed is GitHub's "immutable".
type Release struct {
	ID                int64
	Tag, Target, Body string
	Draft, Pre, Fixed bool
	Created           time.Time
	Published         *time.Time
	Assets            []*Asset
}

// Asset is a file of a release.
type Asset struct {
	ID     int64
	Name   string
	State  string
	Data   []byte
	Digest string
}

// New is a repository owner/repo with two commits, and the tag v1 on Head.
func New(t testing.TB) *Hub {
	f := &Hub{t: t, FullName: "owner/repo", Push: true, Now: time.Now, lastID: 100,
		Tags:    map[string]string{"v1": Head},
		Commits: map[string]bool{Head: true, Other: true}, Burnt: map[string]bool{}, Public: map[string][]string{}}
	f.api = httptest.NewServer(http.HandlerFunc(f.serve))
	f.store = httptest.NewServer(http.HandlerFunc(f.download))
	t.Cleanup(f.store.Close)
	t.Cleanup(f.api.Close)
	return f
}

// URL is the address of the API.
func (f *Hub) URL() string { return f.api.URL }

// Do looks at or changes the fake while it may be asked.
func (f *Hub) Do(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// download is the host that assets are redirected to.
func (f *Hub) download(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		f.t.Errorf("the token went to another host: %s", r.URL)
	}
	f.mu.Lock()
	_, a := f.asset(r.URL.Path[1:])
	f.mu.Unlock()
	if a == nil {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.Data))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func (f *Hub) id() int64 { f.lastID++; return f.lastID }

func digestOf(data []byte) string {
	s := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(s[:])
}

// Add makes a release, as if it had been there.
func (f *Hub) Add(tag, body string, draft bool) *Release {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := newRelease(f.id(), f.Now())
	r.Tag, r.Target, r.Body, r.Draft = tag, Head, body, draft
	f.Releases = append(f.Releases, &r)
	if !draft {
		r.Published, f.Latest = &r.Created, r.ID
		f.Tags[tag] = Head
		f.record(&r)
	}
	return &r
}

// AddAsset makes an asset of a release; nil data is a broken upload.
func (f *Hub) AddAsset(r *Release, name string, data []byte) *Asset {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &Asset{ID: f.id(), Name: name, State: "starter"}
	if data != nil {
		a.State, a.Data, a.Digest = "uploaded", data, digestOf(data)
	}
	r.Assets = append(r.Assets, a)
	return a
}

// record keeps the state of a release that is public.
func (f *Hub) record(r *Release) {
	if r.Draft {
		return
	}
	var all []string
	for _, a := range r.Assets {
		all = append(all, a.Name+" "+a.State+" "+a.Digest)
	}
	slices.Sort(all)
	f.Public[r.Tag] = append(f.Public[r.Tag], strings.Join(all, "\n"))
}

func (f *Hub) asset(id string) (*Release, *Asset) {
	for _, r := range f.Releases {
		for _, a := range r.Assets {
			if itoa(a.ID) == id {
				return r, a
			}
		}
	}
	return nil, nil
}

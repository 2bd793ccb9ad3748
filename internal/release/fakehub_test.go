package release

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeHub is GitHub's releases of one repository, with what it does to uploads:
// broken ones, names taken or changed, limits, immutable releases. Every request
// and reply is held against GitHub's own description (judge).
type fakeHub struct {
	t          testing.TB
	srv, store *httptest.Server

	mu sync.Mutex
	// What the repository and the token are.
	fullName, scopes                        string
	push, app, archived, immutable, private bool
	// noDigests as on an old GitHub Enterprise Server; shortLists: a release names
	// two of its assets only, and a page has three.
	noDigests, shortLists bool
	rename                func(string) string
	now                   func() time.Time

	releases []*fakeRelease
	tags     map[string]string
	commits  map[string]bool
	latest   int64
	lastID   int64
	burnt    map[string]bool // tags of immutable releases

	calls []fakeCall
	// public are, by tag, the states in which a release was public.
	public map[string][]string

	// fault says what goes wrong with a request; hook is told its phases: arrived,
	// half (of an upload), done, answered.
	fault func(c fakeCall) *fakeFault
	hook  func(n int, phase string)
}

type fakeCall struct {
	n            int
	method, path string
	at           time.Time
	status       int
}

// change tells a request that makes something from one that asks.
func (c fakeCall) change() bool { return c.method != http.MethodGet }

func (c fakeCall) String() string { return c.method + " " + c.path }

// fakeFault is what a request gets instead of its due.
type fakeFault struct {
	// act: what was asked is done all the same.
	act bool
	// starter: an upload leaves a broken asset.
	starter bool
	status  int
	header  map[string]string
	message string
	// cut: the connection ends without an answer.
	cut bool
}

type fakeRelease struct {
	id                int64
	tag, target, body string
	draft, pre, fixed bool
	created           time.Time
	published         *time.Time
	assets            []*fakeAsset
}

type fakeAsset struct {
	id     int64
	name   string
	state  string
	data   []byte
	digest string
}

const (
	headCommit  = "1111111111111111111111111111111111111111"
	otherCommit = "2222222222222222222222222222222222222222"
)

// newFakeHub is a repository owner/repo with two commits, and the tag v1 on the first.
func newFakeHub(t testing.TB) *fakeHub {
	f := &fakeHub{t: t, fullName: "owner/repo", push: true, now: time.Now, lastID: 100,
		tags:    map[string]string{"v1": headCommit},
		commits: map[string]bool{headCommit: true, otherCommit: true}, burnt: map[string]bool{}, public: map[string][]string{}}
	f.srv = serve(t, f.serve)
	f.store = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the token went to another host: %s", r.URL)
		}
		f.mu.Lock()
		_, a := f.asset(r.URL.Path[1:])
		f.mu.Unlock()
		if a == nil {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
	})
	return f
}

func (f *fakeHub) options() Options {
	return Options{Token: secret, GitHubBaseURL: f.srv.URL, UserAgent: "llcuda-test"}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func (f *fakeHub) id() int64 { f.lastID++; return f.lastID }

func (f *fakeHub) addRelease(tag, body string, draft bool) *fakeRelease {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &fakeRelease{id: f.id(), tag: tag, target: headCommit, body: body, draft: draft, created: f.now()}
	f.releases = append(f.releases, r)
	if !draft {
		now := f.now()
		r.published, f.latest = &now, r.id
		f.tags[tag] = headCommit
		f.record(r)
	}
	return r
}

func (f *fakeHub) addAsset(r *fakeRelease, name string, data []byte) *fakeAsset {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &fakeAsset{id: f.id(), name: name, state: "uploaded", data: data, digest: digestOf(data)}
	r.assets = append(r.assets, a)
	return a
}

// record keeps the state of a release that is public.
func (f *fakeHub) record(r *fakeRelease) {
	if r.draft {
		return
	}
	var all []string
	for _, a := range r.assets {
		all = append(all, a.name+" "+a.state+" "+a.digest)
	}
	slices.Sort(all)
	f.public[r.tag] = append(f.public[r.tag], strings.Join(all, "\n"))
}

func (f *fakeHub) asset(id string) (*fakeRelease, *fakeAsset) {
	for _, r := range f.releases {
		for _, a := range r.assets {
			if itoa(a.id) == id {
				return r, a
			}
		}
	}
	return nil, nil
}

type fakeReply struct {
	status int
	json   any
	text   string
	header map[string]string
}

func refuse(status int, message string, errors ...any) fakeReply {
	return fakeReply{status: status, json: map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status), "request_id": "0000:00000", "errors": errors}}
}

func (f *fakeHub) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	c := fakeCall{n: len(f.calls), method: r.Method, path: strings.TrimPrefix(r.URL.Path, "/repos/owner/repo"), at: f.now()}
	f.calls = append(f.calls, c)
	var fault *fakeFault
	if f.fault != nil {
		fault = f.fault(c)
	}
	hook := f.hook
	f.mu.Unlock()
	tell := func(phase string) {
		if hook != nil {
			hook(c.n, phase)
		}
	}
	tell("arrived")
	op := operationOf(r)
	upload := r.Method == http.MethodPost && strings.HasSuffix(op.path, "/assets")
	var body []byte
	if !upload {
		body, _ = io.ReadAll(r.Body)
	}
	var reply fakeReply
	switch {
	case r.Header.Get("Authorization") != "Bearer "+secret:
		reply = refuse(401, "Bad credentials")
	case fault != nil && !fault.act:
		if upload {
			io.Copy(io.Discard, r.Body)
		}
		if fault.starter {
			f.mu.Lock()
			if rel := f.find(op.params["release_id"]); rel != nil {
				rel.assets = append(rel.assets, &fakeAsset{id: f.id(), name: queryOf(r, "name"), state: "starter"})
				f.record(rel)
			}
			f.mu.Unlock()
		}
	case upload:
		reply = f.upload(r, op, tell)
	default:
		f.mu.Lock()
		reply = f.answer(r, op, body)
		f.mu.Unlock()
	}
	if fault != nil {
		if fault.cut {
			tell("done")
			panic(http.ErrAbortHandler)
		}
		reply = refuse(fault.status, fault.message)
		reply.header = fault.header
	}
	text := []byte(reply.text)
	if reply.json != nil {
		text, _ = json.Marshal(reply.json)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	for k, v := range reply.header {
		w.Header().Set(k, v)
	}
	if f.scopes != "" {
		w.Header().Set("X-OAuth-Scopes", f.scopes)
	}
	judge(f.t, op, r, body, reply.status, w.Header(), text)
	f.mu.Lock()
	f.calls[c.n].status = reply.status
	f.mu.Unlock()
	tell("done")
	w.WriteHeader(reply.status)
	w.Write(text)
	if fl, ok := w.(http.Flusher); ok {
		fl.Flush()
	}
	tell("answered")
}

// operationOf names a request as GitHub's description does.
func operationOf(r *http.Request) operation {
	op := operation{params: map[string]string{"owner": "owner", "repo": "repo"}}
	rest, ours := strings.CutPrefix(r.URL.Path, "/repos/owner/repo")
	if !ours {
		op.path = r.URL.Path
		return op
	}
	op.path = "/repos/{owner}/{repo}"
	parts := strings.SplitN(strings.TrimPrefix(rest, "/"), "/", 3)
	switch {
	case rest == "":
	case parts[0] == "commits":
		op.path += "/commits/{ref}"
		op.params["ref"] = strings.Join(parts[1:], "/")
	case len(parts) == 1:
		op.path += "/releases"
	case parts[1] == "latest":
		op.path += "/releases/latest"
	case parts[1] == "tags":
		op.path += "/releases/tags/{tag}"
		op.params["tag"] = parts[2]
	case parts[1] == "assets":
		op.path += "/releases/assets/{asset_id}"
		op.params["asset_id"] = parts[2]
	default:
		op.path += "/releases/{release_id}"
		op.params["release_id"] = parts[1]
		if len(parts) == 3 {
			op.path += "/" + parts[2]
		}
	}
	return op
}

func (f *fakeHub) find(id string) *fakeRelease {
	for _, r := range f.releases {
		if itoa(r.id) == id && (!r.draft || f.push || f.app) {
			return r
		}
	}
	return nil
}

func (f *fakeHub) releaseJSON(r *fakeRelease) map[string]any {
	v := example(f.t, "release")
	at := f.srv.URL + "/repos/owner/repo/releases/" + itoa(r.id)
	assets := []any{}
	for _, a := range r.assets {
		assets = append(assets, f.assetJSON(a))
	}
	if f.shortLists {
		assets = assets[:min(2, len(assets))]
	}
	maps.Copy(v, map[string]any{"id": r.id, "tag_name": r.tag, "target_commitish": r.target, "name": r.tag, "body": r.body, "draft": r.draft,
		"prerelease": r.pre, "immutable": r.fixed, "created_at": r.created, "published_at": r.published, "url": at, "assets_url": at + "/assets",
		"upload_url": at + "/assets{?name,label}", "html_url": "https://github.com/owner/repo/releases/tag/" + r.tag, "assets": assets})
	return v
}

func (f *fakeHub) assetJSON(a *fakeAsset) map[string]any {
	v := example(f.t, "release-asset")
	digest := &a.digest
	if f.noDigests || a.state != "uploaded" {
		digest = nil
	}
	maps.Copy(v, map[string]any{"id": a.id, "name": a.name, "state": a.state, "size": len(a.data), "digest": digest, "content_type": "application/octet-stream",
		"url": f.srv.URL + "/repos/owner/repo/releases/assets/" + itoa(a.id)})
	return v
}

// answer is everything but uploads. The caller holds the lock.
func (f *fakeHub) answer(r *http.Request, op operation, body []byte) fakeReply {
	notFound := refuse(404, "Not Found")
	rel := f.find(op.params["release_id"])
	if strings.Contains(op.path, "{release_id}") && rel == nil {
		return notFound
	}
	if r.Method != http.MethodGet && !f.push && !f.app {
		return refuse(403, "Resource not accessible by personal access token")
	}
	if r.Method != http.MethodGet && f.archived {
		return refuse(403, "Repository was archived so is read-only.")
	}
	switch r.Method + " " + strings.TrimPrefix(op.path, "/repos/{owner}/{repo}") {
	case "GET ":
		v := example(f.t, "full-repository")
		maps.Copy(v, map[string]any{"full_name": f.fullName, "archived": f.archived, "private": f.private, "has_discussions": false, // which GitHub's own example lacks
			"permissions": map[string]bool{"admin": false, "push": f.push, "pull": true}})
		return fakeReply{status: 200, json: v}
	case "GET /installation/repositories":
		if !f.app {
			return refuse(403, "You must authenticate with an installation access token in order to list repositories for an installation.")
		}
		return fakeReply{status: 200, json: map[string]any{"total_count": 0, "repositories": []any{}}}
	case "GET /commits/{ref}":
		at := f.tags[strings.TrimPrefix(op.params["ref"], "tags/")]
		if f.commits[op.params["ref"]] {
			at = op.params["ref"]
		}
		if at == "" {
			return refuse(422, "No commit found for SHA: "+op.params["ref"])
		}
		return fakeReply{status: 200, text: at, header: map[string]string{"Content-Type": "application/vnd.github.sha; charset=utf-8"}}
	case "GET /releases":
		var seen []any
		list := slices.Clone(f.releases)
		slices.SortStableFunc(list, func(a, b *fakeRelease) int { return cmp.Compare(b.id, a.id) })
		for _, x := range list {
			if !x.draft || f.push || f.app {
				seen = append(seen, f.releaseJSON(x))
			}
		}
		return f.page(r, seen)
	case "GET /releases/latest":
		if rel := f.find(itoa(f.latest)); rel != nil {
			return fakeReply{status: 200, json: f.releaseJSON(rel)}
		}
	case "GET /releases/tags/{tag}":
		for _, x := range f.releases {
			if x.tag == op.params["tag"] && !x.draft {
				return fakeReply{status: 200, json: f.releaseJSON(x)}
			}
		}
	case "POST /releases":
		return f.change(new(fakeRelease), body)
	case "GET /releases/{release_id}":
		return fakeReply{status: 200, json: f.releaseJSON(rel)}
	case "PATCH /releases/{release_id}":
		return f.change(rel, body)
	case "DELETE /releases/{release_id}":
		f.releases = slices.DeleteFunc(f.releases, func(x *fakeRelease) bool { return x == rel })
		return fakeReply{status: 204}
	case "GET /releases/{release_id}/assets":
		var all []any
		for _, a := range rel.assets {
			all = append(all, f.assetJSON(a))
		}
		return f.page(r, all)
	case "GET /releases/assets/{asset_id}":
		if _, a := f.asset(op.params["asset_id"]); a != nil && a.state == "uploaded" {
			if r.Header.Get("Accept") == "application/octet-stream" {
				return fakeReply{status: 302, header: map[string]string{"Location": f.store.URL + "/" + itoa(a.id)}}
			}
			return fakeReply{status: 200, json: f.assetJSON(a)}
		}
	case "DELETE /releases/assets/{asset_id}":
		rel, a := f.asset(op.params["asset_id"])
		switch {
		case a == nil:
		case rel.fixed && !rel.draft:
			return refuse(422, "Cannot delete asset from an immutable release")
		default:
			rel.assets = slices.DeleteFunc(rel.assets, func(x *fakeAsset) bool { return x == a })
			f.record(rel)
			return fakeReply{status: 204}
		}
	}
	return notFound
}

func (f *fakeHub) page(r *http.Request, all []any) fakeReply {
	per, page := 30, 1
	if n, err := strconv.Atoi(queryOf(r, "per_page")); err == nil {
		per = min(n, 100)
	}
	if f.shortLists {
		per = 3
	}
	if n, err := strconv.Atoi(queryOf(r, "page")); err == nil {
		page = n
	}
	from, to := min((page-1)*per, len(all)), min(page*per, len(all))
	reply := fakeReply{status: 200, json: append([]any{}, all[from:to]...)}
	if to < len(all) {
		reply.header = map[string]string{"Link": fmt.Sprintf(`<%s%s?per_page=%d&page=%d>; rel="next"`, f.srv.URL, r.URL.Path, per, page+1)}
	}
	return reply
}

// change makes a release or edits it.
func (f *fakeHub) change(r *fakeRelease, body []byte) fakeReply {
	in := struct {
		Tag        *string `json:"tag_name"`
		Target     *string `json:"target_commitish"`
		Body       *string `json:"body"`
		Draft      *bool   `json:"draft"`
		Prerelease *bool   `json:"prerelease"`
		Latest     string  `json:"make_latest"`
	}{Latest: "true"}
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(400, "Problems parsing JSON")
	}
	status, next := 200, *r
	if r.id == 0 {
		status = 201
		next = fakeReleaseOf(f.id(), f.now())
	}
	if in.Tag != nil {
		next.tag = *in.Tag
	}
	if in.Target != nil {
		next.target = *in.Target
	}
	if in.Body != nil {
		next.body = *in.Body
	}
	if in.Prerelease != nil {
		next.pre = *in.Prerelease
	}
	if in.Draft != nil {
		next.draft = *in.Draft
	}
	invalid := func(field, message string) fakeReply {
		return refuse(422, "Validation Failed", map[string]any{"resource": "Release", "code": "custom", "field": field, "message": message})
	}
	goesPublic := !next.draft && (r.id == 0 || r.draft)
	switch {
	case r.id != 0 && !r.draft && next.draft && r.fixed:
		return invalid("state", "state cannot be changed when release is immutable")
	case goesPublic && f.burnt[next.tag]:
		return invalid("tag_name", "tag_name was used by an immutable release")
	case goesPublic && slices.ContainsFunc(f.releases, func(x *fakeRelease) bool { return x.tag == next.tag && !x.draft && x.id != next.id }):
		return refuse(422, "Validation Failed", map[string]any{"resource": "Release", "code": "already_exists", "field": "tag_name"})
	case goesPublic && f.tags[next.tag] == "" && !f.commits[next.target]:
		return invalid("target_commitish", "Published releases must have a valid tag")
	}
	*r = next
	if status == 201 {
		f.releases = append(f.releases, r)
	}
	if goesPublic {
		now := f.now()
		r.published, r.fixed = &now, f.immutable
		if f.tags[r.tag] == "" {
			f.tags[r.tag] = r.target
		}
		if f.immutable {
			f.burnt[r.tag] = true
		}
		if in.Latest == "true" && !r.pre {
			f.latest = r.id
		}
		f.record(r)
	}
	return fakeReply{status: status, json: f.releaseJSON(r)}
}

func fakeReleaseOf(id int64, now time.Time) fakeRelease {
	return fakeRelease{id: id, created: now, target: "main"}
}

// upload makes an asset in state "starter" first, as GitHub does: a client that
// dies leaves it so.
func (f *fakeHub) upload(r *http.Request, op operation, tell func(string)) fakeReply {
	f.mu.Lock()
	rel := f.find(op.params["release_id"])
	name := queryOf(r, "name")
	if f.rename != nil {
		name = f.rename(name)
	}
	switch {
	case rel == nil:
		f.mu.Unlock()
		return refuse(404, "Not Found")
	case !f.push && !f.app:
		f.mu.Unlock()
		return refuse(403, "Resource not accessible by integration")
	case !rel.draft && rel.fixed:
		f.mu.Unlock()
		return refuse(422, "Cannot upload assets to an immutable release.")
	case slices.ContainsFunc(rel.assets, func(a *fakeAsset) bool { return a.name == name }):
		f.mu.Unlock()
		io.Copy(io.Discard, r.Body)
		return refuse(422, "Validation Failed", map[string]any{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"})
	case len(rel.assets) >= maxAssets:
		f.mu.Unlock()
		return refuse(422, "Validation Failed", map[string]any{"resource": "ReleaseAsset", "code": "custom", "field": "release", "message": "file_count limited to 1000 assets per release"})
	}
	a := &fakeAsset{id: f.id(), name: name, state: "starter"}
	rel.assets = append(rel.assets, a)
	f.record(rel)
	f.mu.Unlock()

	half := make([]byte, r.ContentLength/2)
	_, err := io.ReadFull(r.Body, half)
	tell("half")
	rest, err2 := io.ReadAll(r.Body)
	if err != nil || err2 != nil {
		panic(http.ErrAbortHandler) // the client is gone: nobody reads an answer
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a.data = append(half, rest...)
	a.state, a.digest = "uploaded", digestOf(a.data)
	f.record(rel)
	return fakeReply{status: 201, json: f.assetJSON(a)}
}

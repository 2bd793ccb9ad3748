package hubtest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

type reply struct {
	status int
	json   any
	text   string
	header map[string]string
}

func refuse(status int, message string, errors ...any) reply {
	return reply{status: status, json: map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status), "request_id": "0000:00000", "errors": errors}}
}

func (f *Hub) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	c := Call{N: len(f.Calls), Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/repos/owner/repo"), At: f.Now()}
	f.Calls = append(f.Calls, c)
	var fault *Fault
	if f.Fault != nil {
		fault = f.Fault(c)
	}
	hook := f.Hook
	f.mu.Unlock()
	tell := func(phase string) {
		if hook != nil {
			hook(c.N, phase)
		}
	}
	tell("arrived")
	if strings.HasPrefix(c.Path, "/repos/") { // another repository
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	}
	op := operationOf(r)
	upload := r.Method == http.MethodPost && strings.HasSuffix(op.path, "/assets")
	var body []byte
	if !upload {
		body, _ = io.ReadAll(r.Body)
	}
	var answer reply
	switch {
	case f.Anonymous && r.Method == http.MethodGet && r.Header.Get("Authorization") == "":
		f.mu.Lock()
		push, app := f.Push, f.App
		f.Push, f.App = false, false // and so sees no draft
		answer = f.answer(r, op, body)
		f.Push, f.App = push, app
		f.mu.Unlock()
	case r.Header.Get("Authorization") != "Bearer "+Token:
		answer = refuse(401, "Bad credentials")
	case fault != nil && !fault.Act:
		if upload {
			io.Copy(io.Discard, r.Body)
		}
		if fault.Starter {
			f.mu.Lock()
			if rel := f.find(op.params["release_id"]); rel != nil {
				rel.Assets = append(rel.Assets, &Asset{ID: f.id(), Name: queryOf(r, "name"), State: "starter"})
				f.record(rel)
			}
			f.mu.Unlock()
		}
	case upload:
		answer = f.upload(r, op, tell)
	default:
		f.mu.Lock()
		answer = f.answer(r, op, body)
		f.mu.Unlock()
	}
	if fault != nil {
		if fault.Cut {
			tell("done")
			panic(http.ErrAbortHandler)
		}
		answer = refuse(fault.Status, fault.Message)
		answer.header = fault.Header
	}
	text := []byte(answer.text)
	if answer.json != nil {
		text, _ = json.Marshal(answer.json)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	for k, v := range answer.header {
		w.Header().Set(k, v)
	}
	if f.Scopes != "" {
		w.Header().Set("X-OAuth-Scopes", f.Scopes)
	}
	judge(f.t, op, r, body, answer.status, w.Header(), text)
	f.mu.Lock()
	f.Calls[c.N].Status = answer.status
	f.mu.Unlock()
	tell("done")
	w.WriteHeader(answer.status)
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

func (f *Hub) find(id string) *Release {
	for _, r := range f.Releases {
		if itoa(r.ID) == id && (!r.Draft || f.Push || f.App) {
			return r
		}
	}
	return nil
}

func (f *Hub) releaseJSON(r *Release) map[string]any {
	v := example(f.t, "release")
	at := f.api.URL + "/repos/owner/repo/releases/" + itoa(r.ID)
	assets := []any{}
	for _, a := range r.Assets {
		assets = append(assets, f.assetJSON(a))
	}
	if f.ShortLists {
		assets = assets[:min(2, len(assets))]
	}
	maps.Copy(v, map[string]any{"id": r.ID, "tag_name": r.Tag, "target_commitish": r.Target, "name": r.Tag, "body": r.Body, "draft": r.Draft,
		"prerelease": r.Pre, "immutable": r.Fixed, "created_at": r.Created, "published_at": r.Published, "url": at, "assets_url": at + "/assets",
		"upload_url": at + "/assets{?name,label}", "html_url": "https://github.com/owner/repo/releases/tag/" + r.Tag, "assets": assets})
	return v
}

func (f *Hub) assetJSON(a *Asset) map[string]any {
	v := example(f.t, "release-asset")
	digest := &a.Digest
	if f.NoDigests || a.State != "uploaded" {
		digest = nil
	}
	maps.Copy(v, map[string]any{"id": a.ID, "name": a.Name, "state": a.State, "size": len(a.Data), "digest": digest, "content_type": "application/octet-stream",
		"url": f.api.URL + "/repos/owner/repo/releases/assets/" + itoa(a.ID)})
	return v
}

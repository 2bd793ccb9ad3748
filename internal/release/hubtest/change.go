package hubtest

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"
)

// change makes a release or edits it.
func (f *Hub) change(r *Release, body []byte) reply {
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
	if r.ID == 0 {
		status = 201
		next = newRelease(f.id(), f.Now())
	}
	if in.Tag != nil {
		next.Tag = *in.Tag
	}
	if in.Target != nil {
		next.Target = *in.Target
	}
	if in.Body != nil {
		next.Body = *in.Body
	}
	if in.Prerelease != nil {
		next.Pre = *in.Prerelease
	}
	if in.Draft != nil {
		next.Draft = *in.Draft
	}
	invalid := func(field, message string) reply {
		return refuse(422, "Validation Failed", map[string]any{"resource": "Release", "code": "custom", "field": field, "message": message})
	}
	goesPublic := !next.Draft && (r.ID == 0 || r.Draft)
	switch {
	case r.ID != 0 && !r.Draft && next.Draft && r.Fixed:
		return invalid("state", "state cannot be changed when release is immutable")
	case goesPublic && f.Burnt[next.Tag]:
		return invalid("tag_name", "tag_name was used by an immutable release")
	case goesPublic && slices.ContainsFunc(f.Releases, func(x *Release) bool { return x.Tag == next.Tag && !x.Draft && x.ID != next.ID }):
		return refuse(422, "Validation Failed", map[string]any{"resource": "Release", "code": "already_exists", "field": "tag_name"})
	case goesPublic && f.Tags[next.Tag] == "" && !f.Commits[next.Target]:
		return invalid("target_commitish", "Published releases must have a valid tag")
	}
	*r = next
	if status == 201 {
		f.Releases = append(f.Releases, r)
	}
	if goesPublic {
		now := f.Now()
		r.Published, r.Fixed = &now, f.Immutable
		if f.Tags[r.Tag] == "" {
			f.Tags[r.Tag] = r.Target
		}
		if f.Immutable {
			f.Burnt[r.Tag] = true
		}
		if in.Latest == "true" && !r.Pre {
			f.Latest = r.ID
		}
		f.record(r)
	}
	return reply{status: status, json: f.releaseJSON(r)}
}

func newRelease(id int64, now time.Time) Release {
	return Release{ID: id, Created: now, Target: "main"}
}

// upload makes an asset in state "starter" first, as GitHub does: a client that
// dies leaves it so.
func (f *Hub) upload(r *http.Request, op operation, tell func(string)) reply {
	f.mu.Lock()
	rel := f.find(op.params["release_id"])
	name := queryOf(r, "name")
	if f.Rename != nil {
		name = f.Rename(name)
	}
	switch {
	case rel == nil:
		f.mu.Unlock()
		return refuse(404, "Not Found")
	case !f.Push && !f.App:
		f.mu.Unlock()
		return refuse(403, "Resource not accessible by integration")
	case !rel.Draft && rel.Fixed:
		f.mu.Unlock()
		return refuse(422, "Cannot upload assets to an immutable release.")
	case slices.ContainsFunc(rel.Assets, func(a *Asset) bool { return a.Name == name }):
		f.mu.Unlock()
		io.Copy(io.Discard, r.Body)
		return refuse(422, "Validation Failed", map[string]any{"resource": "ReleaseAsset", "code": "already_exists", "field": "name"})
	case len(rel.Assets) >= 1000:
		f.mu.Unlock()
		return refuse(422, "Validation Failed", map[string]any{"resource": "ReleaseAsset", "code": "custom", "field": "release", "message": "file_count limited to 1000 assets per release"})
	}
	a := &Asset{ID: f.id(), Name: name, State: "starter"}
	rel.Assets = append(rel.Assets, a)
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
	a.Data = append(half, rest...)
	a.State, a.Digest = "uploaded", digestOf(a.Data)
	f.record(rel)
	return reply{status: 201, json: f.assetJSON(a)}
}

package hubtest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// answer is everything but uploads. The caller holds the lock.
func (f *Hub) answer(r *http.Request, op operation, body []byte) reply {
	notFound := refuse(404, "Not Found")
	rel := f.find(op.params["release_id"])
	if strings.Contains(op.path, "{release_id}") && rel == nil {
		return notFound
	}
	if r.Method != http.MethodGet && !f.Push && !f.App {
		return refuse(403, "Resource not accessible by personal access token")
	}
	if r.Method != http.MethodGet && f.Archived {
		return refuse(403, "Repository was archived so is read-only.")
	}
	switch r.Method + " " + strings.TrimPrefix(op.path, "/repos/{owner}/{repo}") {
	case "GET ":
		v := example(f.t, "full-repository")
		maps.Copy(v, map[string]any{"full_name": f.FullName, "archived": f.Archived, "private": f.Private, "has_discussions": false, // which GitHub's own example lacks
			"permissions": map[string]bool{"admin": false, "push": f.Push, "pull": true}})
		return reply{status: 200, json: v}
	case "GET /installation/repositories":
		if !f.App {
			return refuse(403, "You must authenticate with an installation access token in order to list repositories for an installation.")
		}
		return reply{status: 200, json: map[string]any{"total_count": 0, "repositories": []any{}}}
	case "GET /commits/{ref}":
		at := f.Tags[strings.TrimPrefix(op.params["ref"], "tags/")]
		if f.Commits[op.params["ref"]] {
			at = op.params["ref"]
		}
		if at == "" {
			return refuse(422, "No commit found for SHA: "+op.params["ref"])
		}
		return reply{status: 200, text: at, header: map[string]string{"Content-Type": "application/vnd.github.sha; charset=utf-8"}}
	case "GET /releases":
		var seen []any
		list := slices.Clone(f.Releases)
		slices.SortStableFunc(list, func(a, b *Release) int { return cmp.Compare(b.ID, a.ID) })
		for _, x := range list {
			if !x.Draft || f.Push || f.App {
				seen = append(seen, f.releaseJSON(x))
			}
		}
		return f.page(r, seen)
	case "GET /releases/latest":
		if rel := f.find(itoa(f.Latest)); rel != nil {
			return reply{status: 200, json: f.releaseJSON(rel)}
		}
	case "GET /releases/tags/{tag}":
		for _, x := range f.Releases {
			if x.Tag == op.params["tag"] && !x.Draft {
				return reply{status: 200, json: f.releaseJSON(x)}
			}
		}
	case "POST /releases":
		return f.change(new(Release), body)
	case "GET /releases/{release_id}":
		return reply{status: 200, json: f.releaseJSON(rel)}
	case "PATCH /releases/{release_id}":
		return f.change(rel, body)
	case "DELETE /releases/{release_id}":
		f.Releases = slices.DeleteFunc(f.Releases, func(x *Release) bool { return x == rel })
		return reply{status: 204}
	case "GET /releases/{release_id}/assets":
		var all []any
		for _, a := range rel.Assets {
			all = append(all, f.assetJSON(a))
		}
		return f.page(r, all)
	case "GET /releases/assets/{asset_id}":
		if _, a := f.asset(op.params["asset_id"]); a != nil && a.State == "uploaded" {
			if r.Header.Get("Accept") == "application/octet-stream" {
				return reply{status: 302, header: map[string]string{"Location": f.store.URL + "/" + itoa(a.ID)}}
			}
			return reply{status: 200, json: f.assetJSON(a)}
		}
	case "DELETE /releases/assets/{asset_id}":
		rel, a := f.asset(op.params["asset_id"])
		switch {
		case a == nil:
		case rel.Fixed && !rel.Draft:
			return refuse(422, "Cannot delete asset from an immutable release")
		default:
			rel.Assets = slices.DeleteFunc(rel.Assets, func(x *Asset) bool { return x == a })
			f.record(rel)
			return reply{status: 204}
		}
	}
	return notFound
}

func (f *Hub) page(r *http.Request, all []any) reply {
	per, page := 30, 1
	if n, err := strconv.Atoi(queryOf(r, "per_page")); err == nil {
		per = min(n, 100)
	}
	if f.ShortLists {
		per = 3
	}
	if n, err := strconv.Atoi(queryOf(r, "page")); err == nil {
		page = n
	}
	from, to := min((page-1)*per, len(all)), min(page*per, len(all))
	out := reply{status: 200, json: append([]any{}, all[from:to]...)}
	if to < len(all) {
		out.header = map[string]string{"Link": fmt.Sprintf(`<%s%s?per_page=%d&page=%d>; rel="next"`, f.api.URL, r.URL.Path, per, page+1)}
	}
	return out
}

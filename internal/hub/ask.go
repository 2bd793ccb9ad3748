package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Main is the revision that is meant where none is named.
const Main = "main"

// File is one file of one commit of a repository.
type File struct {
	// Repo is OWNER/REPO; Commit has 40 digits; Path is inside the repository.
	Repo, Commit, Path string
	// Revision is what was asked for: a branch, a tag or the commit.
	Revision string
	// Size is in bytes; SHA256 is 64 hexadecimal digits.
	Size   int64
	SHA256 string
}

// Name is what a user would type for it.
func (f File) Name() string { return f.Repo + ":" + f.Path }

// Entry is one file in a repository's listing.
type Entry struct {
	Path string
	Size int64
	// SHA256 is "" for files that Git holds itself: small texts.
	SHA256 string
}

// Info is what the hub says of a repository.
type Info struct {
	// Commit is main's.
	Commit string
	// Gated is "" for a repository whose files everybody gets, else "auto" or
	// "manual", which is how access is given.
	Gated string
	// Licence is the repository's licence tag ("apache-2.0"), "" for none.
	Licence string
}

// Stat asks for a file's commit, size and digest. The error says what is missing.
func (c *Client) Stat(ctx context.Context, repo, revision, file string) (File, error) {
	what := subject{repo, revision, file}
	f := File{Repo: repo, Path: file, Revision: revision}
	resp, err := c.ask(ctx, what, http.MethodHead, resolvePath(repo, revision, file))
	if err != nil {
		return f, err
	}
	resp.Body.Close()
	f.Commit = strings.ToLower(resp.Header.Get("X-Repo-Commit"))
	switch {
	case IsCommit(f.Commit):
	case f.Commit == "" && IsCommit(revision):
		f.Commit = revision // a mirror that leaves the header out
	case isPage(resp.Header):
		return f, &NotHubError{c.o.Endpoint, "a web page"}
	default:
		return f, &NotHubError{c.o.Endpoint, "no commit (X-Repo-Commit)"}
	}
	size, err := strconv.ParseInt(resp.Header.Get("X-Linked-Size"), 10, 64)
	if sum, ok := digest(resp.Header.Get("X-Linked-Etag")); ok && err == nil && size > 0 {
		f.SHA256, f.Size = sum, size
		return f, nil
	}
	// A mirror may drop these headers; the listing says the same.
	entries, err := c.Tree(ctx, repo, f.Commit)
	if err != nil {
		return f, err
	}
	for _, e := range entries {
		if e.Path == file && e.SHA256 != "" && e.Size > 0 {
			f.SHA256, f.Size = e.SHA256, e.Size
			return f, nil
		}
	}
	return f, &NotHubError{c.o.Endpoint, "no SHA-256 for " + f.Name()}
}

// Tree lists all files of a revision.
func (c *Client) Tree(ctx context.Context, repo, revision string) ([]Entry, error) {
	what := subject{repo: repo, revision: revision}
	next := "/api/models/" + escape(repo) + "/tree/" + url.PathEscape(revision) + "?recursive=true"
	var list []Entry
	const mostPages = 200 // of 1,000 files: a listing that goes round in circles ends
	for range mostPages {
		resp, err := c.ask(ctx, what, http.MethodGet, next)
		if err != nil {
			return nil, err
		}
		page, err := c.entries(resp)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		var more bool
		if next, more = nextPage(resp.Header.Get("Link")); !more {
			return list, nil
		}
	}
	return nil, &NotHubError{c.o.Endpoint, "a listing without an end"}
}

func (c *Client) entries(resp *http.Response) ([]Entry, error) {
	var raw []struct {
		Type, Path string
		Size       int64
		LFS        *struct {
			OID  string
			Size int64
		}
	}
	if err := c.decode(resp, &raw); err != nil {
		return nil, err
	}
	list := make([]Entry, 0, len(raw))
	for _, r := range raw {
		if r.Type != "file" || !isInside(r.Path) {
			continue
		}
		e := Entry{Path: r.Path, Size: r.Size}
		if r.LFS != nil {
			if sum, ok := digest(strings.TrimPrefix(r.LFS.OID, "sha256:")); ok {
				e.SHA256, e.Size = sum, r.LFS.Size
			}
		}
		list = append(list, e)
	}
	return list, nil
}

// nextPage reads Link: <https://…/tree/main?cursor=…>; rel="next". Only its
// path and query are used, so that it leads nowhere else.
func nextPage(link string) (string, bool) {
	for _, part := range strings.Split(link, ",") {
		target, params, ok := strings.Cut(strings.TrimSpace(part), ";")
		if !ok || !strings.Contains(strings.ReplaceAll(params, " ", ""), `rel="next"`) {
			continue
		}
		u, err := url.Parse(strings.Trim(strings.TrimSpace(target), "<>"))
		if err != nil {
			continue
		}
		// An endpoint may have a path of its own before the hub's.
		if at := strings.Index(u.EscapedPath(), "/api/models/"); at >= 0 {
			return u.EscapedPath()[at:] + "?" + u.RawQuery, true
		}
	}
	return "", false
}

// Info asks for what a repository says of itself.
func (c *Client) Info(ctx context.Context, repo string) (Info, error) {
	resp, err := c.ask(ctx, subject{repo: repo}, http.MethodGet, "/api/models/"+escape(repo))
	if err != nil {
		return Info{}, err
	}
	defer resp.Body.Close()
	var raw struct {
		SHA   string
		Gated any // false, "auto" or "manual"
		Tags  []string
	}
	if err := c.decode(resp, &raw); err != nil {
		return Info{}, err
	}
	info := Info{Commit: strings.ToLower(raw.SHA)}
	if how, ok := raw.Gated.(string); ok {
		info.Gated = how
	}
	for _, tag := range raw.Tags {
		if licence, ok := strings.CutPrefix(tag, "license:"); ok && info.Licence == "" {
			info.Licence = licence
		}
	}
	return info, nil
}

// isInside says whether a name from the hub can be a file's path in a
// repository, and so in a folder.
func isInside(name string) bool {
	return name != "" && path.Clean(name) == name && filepath.IsLocal(name) && !strings.ContainsAny(name, "\\\x00")
}

// CheckRepo says whether a name can be a repository and a folder of the cache.
func CheckRepo(repo string) error {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || !isInside(owner) || !isInside(name) || strings.Contains(name, "/") || owner == "." || name == "." || strings.Contains(repo, "--") {
		return fmt.Errorf("%q is no OWNER/REPO", repo)
	}
	return nil
}

// escape escapes each part of a path.
func escape(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = url.PathEscape(s)
	}
	return strings.Join(parts, "/")
}

// resolvePath is where a file's bytes are: the revision is one part, whatever
// slashes it has.
func resolvePath(repo, revision, file string) string {
	return "/" + escape(repo) + "/resolve/" + url.PathEscape(revision) + "/" + escape(file)
}

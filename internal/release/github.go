package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/waqasm86/llcuda/bundles"
)

// GitHub is the releases of one repository, read through the API (which works
// for private repositories too, with a token).
type GitHub struct {
	name, tag string // OWNER/REPO
	api       *github.Client
	get       *getter
	token     string
	now       func() time.Time

	mu       sync.Mutex
	releases map[string]*ghRelease
}

// ghRelease is what is read of a release: go-github v60's own type lacks the
// assets' digests.
type ghRelease struct {
	ID     int64   `json:"id"`
	Tag    string  `json:"tag_name"`
	Assets []Asset `json:"assets"`
}

// Asset is a file of a GitHub release.
type Asset struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Size int64  `json:"size"`
	// State is "uploaded"; "starter" is a broken upload.
	State string `json:"state"`
	// Digest is "sha256:<hex>" as GitHub computed it, nil on old assets. It is
	// the host's word and proves nothing; it tells a broken upload early.
	Digest *string `json:"digest"`
}

func newGitHub(name, tag string, o Options) (*GitHub, error) {
	g := &GitHub{name: name, tag: tag, token: o.Token, now: o.Now, get: newGetter(o), releases: map[string]*ghRelease{}}
	// The token is set on each request, not by the client's transport: that
	// would add it again after every redirect.
	client := *g.get.client
	client.Transport = bounded{client.Transport, o.Stall}
	g.api = github.NewClient(&client)
	if o.UserAgent != "" {
		g.api.UserAgent = o.UserAgent
	}
	if o.GitHubBaseURL != "" {
		u, err := url.Parse(strings.TrimSuffix(o.GitHubBaseURL, "/") + "/")
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("GitHub address %q: not an address", o.GitHubBaseURL)
		}
		g.api.BaseURL = u
	}
	return g, nil
}

func (g *GitHub) String() string {
	if g.tag != "" {
		return g.Repository() + "@" + g.tag
	}
	return g.Repository()
}

// Repository is "github:OWNER/REPO".
func (g *GitHub) Repository() string { return "github:" + g.name }

// Manifest reads the two assets of a release.
func (g *GitHub) Manifest(ctx context.Context, tag string) (raw, sig []byte, release string, err error) {
	if tag == "" {
		tag = g.tag
	}
	rel, err := g.release(ctx, tag, true)
	if err != nil {
		return nil, nil, "", err
	}
	for _, f := range []struct {
		name  string
		limit int64
		to    *[]byte
	}{{bundles.ManifestName, bundles.MaxManifestSize, &raw}, {bundles.SignatureName, bundles.MaxSignatureSize, &sig}} {
		r, _, err := g.Open(ctx, rel.Tag, f.name, 0)
		if err != nil {
			return nil, nil, "", err
		}
		*f.to, err = readBounded(r, f.limit, f.name+" of "+g.Repository()+"@"+rel.Tag, g.get.stall)
		if err != nil {
			return nil, nil, "", err
		}
	}
	return raw, sig, rel.Tag, nil
}

// Open downloads an asset.
func (g *GitHub) Open(ctx context.Context, release, name string, offset int64) (io.ReadCloser, int64, error) {
	return g.openSpan(ctx, release, name, span{from: offset})
}

// OpenRange downloads a part of an asset.
func (g *GitHub) OpenRange(ctx context.Context, release, name string, from, to int64) (io.ReadCloser, int64, error) {
	return g.openSpan(ctx, release, name, span{from, to})
}

func (g *GitHub) openSpan(ctx context.Context, release, name string, at span) (io.ReadCloser, int64, error) {
	if err := checkFile(release, name, at); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", g, err)
	}
	a, err := g.asset(ctx, release, name)
	if err != nil {
		return nil, 0, err
	}
	if at.from > a.Size {
		return nil, 0, &RangeError{URL: g.at(release, name), Offset: at.from, Size: a.Size}
	}
	req, err := g.request(ctx, fmt.Sprintf("repos/%s/releases/assets/%d", g.name, a.ID))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/octet-stream")
	r, size, err := g.get.from(req, at)
	if errors.Is(err, fs.ErrNotExist) { // replaced meanwhile? ask anew next time
		g.mu.Lock()
		delete(g.releases, release)
		g.mu.Unlock()
	}
	if err != nil {
		return nil, 0, g.named(err, g.at(release, name))
	}
	if size < 0 {
		size = a.Size
	}
	return r, size, nil
}

// Assets lists the files of a release, broken uploads included.
func (g *GitHub) Assets(ctx context.Context, tag string) ([]Asset, error) {
	rel, err := g.release(ctx, tag, true)
	if err != nil {
		return nil, err
	}
	return g.allAssets(ctx, rel)
}

func (g *GitHub) at(release, name string) string { return g.Repository() + "@" + release + "/" + name }

// asset finds a file: first among those that came with the release, then in
// the full, paged list.
func (g *GitHub) asset(ctx context.Context, tag, name string) (Asset, error) {
	rel, err := g.release(ctx, tag, false)
	if err != nil {
		return Asset{}, err
	}
	if a, ok := uploaded(rel.Assets, name); ok {
		return a, nil
	}
	all, err := g.allAssets(ctx, rel)
	if err != nil {
		return Asset{}, err
	}
	if a, ok := uploaded(all, name); ok {
		return a, nil
	}
	detail := ""
	for _, a := range all {
		if a.Name == name {
			detail = fmt.Sprintf("its upload was not finished (state %q)", a.State)
		}
	}
	return Asset{}, &NotFoundError{URL: g.at(tag, name), Detail: detail}
}

func uploaded(assets []Asset, name string) (Asset, bool) {
	for _, a := range assets {
		if a.Name == name && (a.State == "uploaded" || a.State == "") {
			return a, true
		}
	}
	return Asset{}, false
}

func (g *GitHub) allAssets(ctx context.Context, rel *ghRelease) ([]Asset, error) {
	var all []Asset
	for page := 1; page != 0; {
		req, err := g.request(ctx, fmt.Sprintf("repos/%s/releases/%d/assets?per_page=100&page=%d", g.name, rel.ID, page))
		if err != nil {
			return nil, err
		}
		var some []Asset
		resp, err := g.api.Do(ctx, req, &some)
		if err != nil {
			return nil, g.named(err, g.Repository()+"@"+rel.Tag)
		}
		all, page = append(all, some...), resp.NextPage
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releases[rel.Tag] = &ghRelease{ID: rel.ID, Tag: rel.Tag, Assets: all}
	return all, nil
}

// release asks for a release once; fresh asks again, and an empty tag for the newest.
func (g *GitHub) release(ctx context.Context, tag string, fresh bool) (*ghRelease, error) {
	at, path := g.Repository(), "latest"
	if tag != "" {
		if err := bundles.CheckTag(tag); err != nil {
			return nil, fmt.Errorf("%s: %w", g, err)
		}
		at, path = at+"@"+tag, "tags/"+tag
	}
	g.mu.Lock()
	known := g.releases[tag]
	g.mu.Unlock()
	if known != nil && !fresh {
		return known, nil
	}
	req, err := g.request(ctx, "repos/"+g.name+"/releases/"+path)
	if err != nil {
		return nil, err
	}
	rel := new(ghRelease)
	if _, err := g.api.Do(ctx, req, rel); err != nil {
		return nil, g.named(err, at)
	}
	if err := bundles.CheckTag(rel.Tag); err != nil {
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	if tag != "" && rel.Tag != tag {
		return nil, fmt.Errorf("%s: the host answered with release %q", at, rel.Tag)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.releases[rel.Tag] = rel
	return rel, nil
}

func (g *GitHub) request(ctx context.Context, path string) (*http.Request, error) {
	req, err := g.api.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	if g.token != "" {
		req.Header.Set("Authorization", "Bearer "+g.token)
	}
	return req.WithContext(ctx), nil
}

// named turns the errors of the API client into this package's, about what
// the user asked for rather than an address with a number in it.
func (g *GitHub) named(err error, what string) error {
	var (
		limit  *github.RateLimitError
		abuse  *github.AbuseRateLimitError
		status *github.ErrorResponse
		gone   *NotFoundError
		wait   *RateLimitError
		short  *RangeError
	)
	switch {
	case errors.As(err, &limit):
		now := g.now()
		if limit.Response != nil { // the host's clock counts
			if theirs, err := http.ParseTime(limit.Response.Header.Get("Date")); err == nil {
				now = theirs
			}
		}
		return &RateLimitError{URL: what, After: max(0, limit.Rate.Reset.Sub(now)), Token: g.token != "", GitHub: true}
	case errors.As(err, &abuse):
		e := &RateLimitError{URL: what, Token: g.token != "", GitHub: true}
		if abuse.RetryAfter != nil {
			e.After = *abuse.RetryAfter
		}
		return e
	case errors.As(err, &status) && status.Response != nil:
		e := statusError(what, status.Response, g.now())
		if errors.As(e, &wait) {
			wait.Token, wait.GitHub = g.token != "", true
		}
		if !isStatus(e) {
			return e
		}
		return &StatusError{URL: what, Status: status.Response.StatusCode, Detail: status.Message}
	case errors.As(err, &wait):
		return &RateLimitError{URL: what, After: wait.After, Token: g.token != "", GitHub: true}
	case errors.As(err, &gone):
		return &NotFoundError{URL: what, Detail: gone.Detail}
	case errors.As(err, &short):
		return &RangeError{URL: what, Offset: short.Offset, Size: short.Size}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func isStatus(err error) bool {
	var s *StatusError
	return errors.As(err, &s)
}

package release

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/httpsafe"
)

// hub is one repository of GitHub as a publisher uses it. go-github makes the
// requests and reads the errors; who waits for how long is decided here, because
// its client takes an unnamed secondary limit for one that lasts up to an hour.
type hub struct {
	name   string // OWNER/REPO
	api    *github.Client
	client *http.Client
	token  string
	pace   *pace
	log    io.Writer
	// calls are the requests made to the API (not those that an answer redirects).
	calls atomic.Int64
	// stall is how long an upload may stand still.
	stall time.Duration
}

// hubRelease is a release as GitHub tells it, drafts included.
type hubRelease struct {
	ID         int64      `json:"id"`
	Tag        string     `json:"tag_name"`
	Body       string     `json:"body"`
	Draft      bool       `json:"draft"`
	Prerelease bool       `json:"prerelease"`
	Published  *time.Time `json:"published_at"`
	UploadURL  string     `json:"upload_url"`
	Page       string     `json:"html_url"`
	Assets     []Asset    `json:"assets"`
}

// releasesPerPage keeps a page of releases far below maxAnswer: an asset takes
// about 2 kB of it, a release of ours has some hundred.
const releasesPerPage = 30

func newHub(to GitHubTarget, log io.Writer) (*hub, error) {
	if to.clock == nil {
		to.clock = wall{}
	}
	client := to.HTTPClient
	if client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		// GitHub hashes an upload of up to 2 GiB before it answers.
		t.ResponseHeaderTimeout = 5 * time.Minute
		client = &http.Client{Transport: t}
	}
	client = httpsafe.Guard(client)
	client.Transport = bounded{client.Transport, to.Stall}
	h := &hub{name: to.Name, client: client, token: to.Token, pace: &pace{clock: to.clock}, log: log, stall: to.Stall}
	if h.stall == 0 {
		h.stall = time.Minute
	}
	h.api = github.NewClient(nil)
	if to.UserAgent != "" {
		h.api.UserAgent = to.UserAgent
	}
	if to.GitHubBaseURL != "" {
		u, err := url.Parse(strings.TrimSuffix(to.GitHubBaseURL, "/") + "/")
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("GitHub address %q: not an address", to.GitHubBaseURL)
		}
		h.api.BaseURL = u
	}
	return h, nil
}

// once makes one request and reads its answer into to: an io.Writer gets its
// bytes, anything else its JSON.
func (h *hub) once(ctx context.Context, req *http.Request, to any) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+h.token)
	h.calls.Add(1)
	resp, err := h.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, httpsafe.Redact(err)
	}
	defer resp.Body.Close()
	if err := github.CheckResponse(resp); err != nil {
		return resp, err
	}
	switch to := to.(type) {
	case nil:
	case io.Writer:
		_, err = io.Copy(to, resp.Body)
	default:
		err = json.NewDecoder(resp.Body).Decode(to)
	}
	return resp, err
}

// get asks for something, as often as it takes.
func (h *hub) get(ctx context.Context, what, path, accept string, to any) (http.Header, error) {
	return h.ask(ctx, true, what, func() (*http.Request, error) {
		req, err := h.api.NewRequest(http.MethodGet, path, nil)
		if err == nil && accept != "" {
			req.Header.Set("Accept", accept)
		}
		if b, ok := to.(*bytes.Buffer); ok {
			b.Reset()
		}
		return req, err
	}, to)
}

func (h *hub) at(format string, args ...any) string {
	return "repos/" + h.name + "/" + fmt.Sprintf(format, args...)
}

func (h *hub) repository(ctx context.Context) (*github.Repository, http.Header, error) {
	r := new(github.Repository)
	header, err := h.get(ctx, "asking for github:"+h.name, "repos/"+h.name, "", r)
	return r, header, err
}

// releases lists all of them, drafts included.
func (h *hub) releases(ctx context.Context) ([]hubRelease, error) {
	var all []hubRelease
	for page := 1; ; page++ {
		var some []hubRelease
		header, err := h.get(ctx, "listing the releases of github:"+h.name, h.at("releases?per_page=%d&page=%d", releasesPerPage, page), "", &some)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if !more(header) {
			return all, nil
		}
	}
}

func (h *hub) assets(ctx context.Context, id int64) ([]Asset, error) {
	var all []Asset
	for page := 1; ; page++ {
		var some []Asset
		header, err := h.get(ctx, "listing the assets of a release", h.at("releases/%d/assets?per_page=100&page=%d", id, page), "", &some)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if !more(header) {
			return all, nil
		}
	}
}

// more tells whether a list goes on.
func more(header http.Header) bool {
	return strings.Contains(strings.Join(header.Values("Link"), ","), `rel="next"`)
}

func (h *hub) byID(ctx context.Context, id int64) (*hubRelease, error) {
	r := new(hubRelease)
	_, err := h.get(ctx, "asking for a release", h.at("releases/%d", id), "", r)
	return r, err
}

func (h *hub) byTag(ctx context.Context, tag string) (*hubRelease, error) {
	r := new(hubRelease)
	_, err := h.get(ctx, "asking for release "+tag, h.at("releases/tags/%s", tag), "", r)
	return r, err
}

// commit is the id of the commit that a reference names ("tags/v1", or an id
// itself), "" where there is none.
func (h *hub) commit(ctx context.Context, ref string) (string, error) {
	var id bytes.Buffer
	_, err := h.get(ctx, "asking for the commit of "+ref, h.at("commits/%s", ref), "application/vnd.github.sha", &id)
	if status(err) == http.StatusNotFound || status(err) == http.StatusUnprocessableEntity || status(err) == http.StatusConflict {
		return "", nil // no such reference, no such commit, nothing in the repository
	}
	return strings.TrimSpace(id.String()), err
}

// read downloads a small asset.
func (h *hub) read(ctx context.Context, a Asset) ([]byte, error) {
	if a.Size > bundles.MaxManifestSize {
		return nil, fmt.Errorf("%s has %d bytes: more than one can have", a.Name, a.Size)
	}
	var b bytes.Buffer
	_, err := h.get(ctx, "reading "+a.Name, h.at("releases/assets/%d", a.ID), "application/octet-stream", &b)
	return b.Bytes(), err
}

// remove deletes what may be gone already.
func (h *hub) remove(ctx context.Context, what, path string) error {
	_, err := h.ask(ctx, true, what, func() (*http.Request, error) { return h.api.NewRequest(http.MethodDelete, path, nil) }, nil)
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}

func (h *hub) removeAsset(ctx context.Context, a Asset) error {
	fmt.Fprintf(h.log, "removing %s (state %s, %d bytes)\n", a.Name, a.State, a.Size)
	return h.remove(ctx, "removing asset "+a.Name, h.at("releases/assets/%d", a.ID))
}

func (h *hub) removeDraft(ctx context.Context, r hubRelease) error {
	fmt.Fprintf(h.log, "removing draft %d of %s\n", r.ID, r.Tag)
	return h.remove(ctx, "removing a draft of "+r.Tag, h.at("releases/%d", r.ID))
}

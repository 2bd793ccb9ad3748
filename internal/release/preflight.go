package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// GitHub's limits on a release: each file is under 2 GiB, and 1000 at most
// (docs.github.com, "About releases").
const (
	maxAssetSize = 2<<30 - 1
	maxAssets    = 1000
)

var commitForm = lazyregexp.New(`^[0-9a-f]{40}$`)

// MissError is one thing that bars a release, and what to do about it.
type MissError struct{ What, Cure string }

func (e *MissError) Error() string { return e.What }

// Hint says what to do.
func (e *MissError) Hint() string { return e.Cure }

// PreflightError is everything that bars a release, found before anything was
// uploaded.
type PreflightError struct{ Misses []error }

func (e *PreflightError) Error() string   { return errors.Join(e.Misses...).Error() }
func (e *PreflightError) Unwrap() []error { return e.Misses }

// ExitCode is 1: a check found a miss.
func (e *PreflightError) ExitCode() int { return 1 }

// flatten takes joined errors apart: each miss is named by itself.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the outermost error only
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// misses collects what bars a release.
type misses struct{ all []error }

func (m *misses) add(err error) {
	for _, e := range flatten(err) {
		// Two checks may stumble over one thing.
		if !slices.ContainsFunc(m.all, func(have error) bool { return have.Error() == e.Error() }) {
			m.all = append(m.all, e)
		}
	}
}

func (m *misses) say(cure, format string, args ...any) {
	m.all = append(m.all, &MissError{fmt.Sprintf(format, args...), cure})
}

func (m *misses) err() error {
	if len(m.all) == 0 {
		return nil
	}
	return &PreflightError{m.all}
}

// preflight asks everything that may bar the release, here and at GitHub, before
// anything is changed, and names all of it at once.
func (p *publication) preflight(ctx context.Context) error {
	var m misses
	switch {
	case p.in.KeyMiss != nil:
		m.add(p.in.KeyMiss)
	case p.in.Key.IsZero():
		m.say("name one with --sign-key FILE or LLCUDA_SIGN_KEY", "no key to sign with")
	}
	if p.in.Repository != "github:"+p.to.Name {
		m.say("leave --repository away", "the signature would bind %q, and this is github:%s", p.in.Repository, p.to.Name)
	}
	badTag := bundles.CheckTag(p.in.Tag)
	m.add(badTag)
	if p.to.Commit != "" && !commitForm.MatchString(p.to.Commit) {
		m.say("give the 40 hexadecimal digits that `git rev-parse HEAD` prints", "target %q is no commit's full id", p.to.Commit)
	}
	if badTag == nil && p.in.DistDir != "" {
		var err error
		p.dist, err = readDist(ctx, p.in)
		m.add(err)
	}
	for _, check := range p.in.Checks {
		m.add(check(ctx))
	}
	if p.dist != nil {
		p.limits(&m)
	}
	if p.to.Token == "" {
		m.say("set GITHUB_TOKEN (or GH_TOKEN) to a token that may write contents of this repository", "no token for GitHub: nothing was asked of it")
		return m.err()
	}
	if err := p.askHub(ctx, &m, badTag == nil); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.add(err)
	}
	return m.err()
}

func (p *publication) limits(m *misses) {
	files := append(partFiles(p.in.DistDir, p.dist.draft), p.dist.extra...)
	for _, f := range files {
		if f.size > maxAssetSize {
			m.say("split the cell, or leave SMs out of it", "%s has %d bytes: GitHub takes files under 2 GiB only", f.name, f.size)
		}
	}
	if n := len(files) + 3; n > maxAssets { // and manifest, signature, sums
		m.say("publish fewer bundles in a release", "the release would have %d files: GitHub takes %d at most", n, maxAssets)
	}
}

// askHub asks what GitHub knows. The error is one that ends the asking.
func (p *publication) askHub(ctx context.Context, m *misses, tagged bool) error {
	repo, header, err := p.h.repository(ctx)
	if err != nil {
		return err
	}
	if name := repo.GetFullName(); !strings.EqualFold(name, p.to.Name) {
		m.say("publish --to github:"+name, "github:%s is called %s now", p.to.Name, name)
	}
	if repo.GetArchived() {
		m.say("unarchive it in its settings, or publish elsewhere", "github:%s is archived: nothing can be added", p.to.Name)
	}
	if repo.GetDisabled() {
		m.say("see its page for the reason", "github:%s is disabled", p.to.Name)
	}
	if err := p.rights(ctx, m, repo, header); err != nil {
		return err
	}
	if !tagged {
		return nil
	}
	if err := p.checkTag(ctx, m); err != nil {
		return err
	}
	p.releases, err = p.h.releases(ctx)
	if err == nil && p.in.DistDir == "" {
		for _, r := range publicOf(p.releases) {
			if r.Tag == p.in.Tag {
				fmt.Fprintf(p.in.Log, "release %s is public already: only the same content can be published again\n", r.Tag)
			}
		}
	}
	if err != nil || p.dist == nil || p.in.Key.IsZero() {
		return err
	}
	if p.already, err = p.same(ctx); err != nil {
		return err
	}
	return p.earlier()
}

// rights tells whether the token may write. What GitHub says of them differs by
// kind of token: a classic one has scopes; a fine-grained one shows in the
// repository's permissions; that of an app or a workflow shows "push": false
// whatever it may do, and is told from a reader's by an address of its own. Then
// the first request that changes something, the draft, is what tells.
func (p *publication) rights(ctx context.Context, m *misses, repo *github.Repository, header http.Header) error {
	const cure = "give a token with the right to write contents (fine-grained: Contents: read and write; classic: scope repo or public_repo; a workflow: permissions: contents: write)"
	if scopes := header.Get("X-OAuth-Scopes"); scopes != "" {
		may := false
		for s := range strings.SplitSeq(scopes, ",") {
			s = strings.TrimSpace(s)
			may = may || s == "repo" || s == "public_repo" && !repo.GetPrivate()
		}
		if !may {
			m.say(cure, "the token may not write to github:%s: its scopes are %s", p.to.Name, scopes)
			return nil
		}
	}
	if repo.GetPermissions()["push"] {
		return nil
	}
	_, err := p.h.get(ctx, "asking what kind of token this is", "installation/repositories?per_page=1", "", nil)
	if err == nil {
		fmt.Fprintf(p.in.Log, "the token is an app's or a workflow's: GitHub tells its rights only when they are used\n")
		return nil
	}
	if s := status(err); s == http.StatusForbidden || s == http.StatusUnauthorized || s == http.StatusNotFound {
		m.say(cure, "the token may not write to github:%s", p.to.Name)
		return nil
	}
	return err
}

// checkTag asks on which commit the tag is, and whether that is the right one.
func (p *publication) checkTag(ctx context.Context, m *misses) error {
	at, err := p.h.commit(ctx, "tags/"+p.in.Tag)
	if err != nil {
		return err
	}
	p.tagged = at
	switch want := p.to.Commit; {
	case at == "" && want == "":
		m.say("push the tag first (git tag "+p.in.Tag+" && git push origin "+p.in.Tag+"), or name its commit with --target",
			"there is no tag %s and nothing says which commit it would name", p.in.Tag)
	case at == "" && commitForm.MatchString(want):
		there, err := p.h.commit(ctx, want)
		if err != nil {
			return err
		}
		if there != want {
			m.say("push it first", "github:%s has no commit %s for tag %s", p.to.Name, want, p.in.Tag)
		}
	case at != "" && commitForm.MatchString(want) && at != want:
		m.say("a tag that others may have seen is never moved: publish under a new tag",
			"tag %s names commit %s, and the release is of %s", p.in.Tag, at, want)
	}
	return nil
}

// earlier looks for the parts that fragments themselves place in other releases.
func (p *publication) earlier() error {
	held := map[string]holding{}
	for _, r := range publicOf(p.releases) {
		for _, a := range r.Assets {
			if a.Digest != nil && a.State == "uploaded" {
				held[r.Tag+"/"+*a.Digest] = holding{r.Tag, a.Name}
			}
		}
	}
	var faults []error
	for key, part := range p.dist.draft.Parts {
		if part.Release != nil && held[*part.Release+"/"+key] != (holding{*part.Release, part.Name}) {
			faults = append(faults, fmt.Errorf("part %s is said to be in release %s, which does not have it", part.Name, *part.Release))
		}
	}
	return errors.Join(faults...)
}

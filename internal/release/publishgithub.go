package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/waqasm86/llcuda/bundles"
)

// Whether a release becomes GitHub's "latest", see standing.
const (
	LatestAuto = "auto"
	LatestYes  = "yes"
	LatestNo   = "no"
)

// GitHubTarget is where PublishGitHub puts a release.
type GitHubTarget struct {
	// Name is OWNER/REPO.
	Name string
	Options
	// Commit is the full id of the commit that the release is of. Where the tag
	// exists it must name it; where not, GitHub makes the tag there. Empty: the
	// commit of the tag.
	Commit string
	// Latest is LatestAuto, LatestYes or LatestNo; empty = auto.
	Latest string
	// Notes is the text of the release's page, before what is said of the bundles.
	Notes string

	clock clock
}

// publication is one run of PublishGitHub.
type publication struct {
	in PublishInput
	to GitHubTarget
	h  *hub
	// What preflight found.
	dist     *dist
	releases []hubRelease
	tagged   string
	already  *Published
}

// lookBack is how many of the newest releases are asked for their sequence. Each
// was published with a higher one than all before it, so the newest has the
// highest; the others are asked in case two runs finished in another order than
// they began.
const lookBack = 5

// rounds is how often another release may be published while this one uploads.
const rounds = 5

// PublishGitHub makes a release on GitHub out of a dist/ folder: a draft gets
// every file, then GitHub's digest and size of each is compared, then one request
// makes it public. A reader sees it whole or not at all.
//
// What bars the release is found first and named all at once, in a
// *PreflightError. It may be killed at any moment and run again: drafts of killed
// runs are found by tag and marker and gone on with, what fits no file is removed,
// and what is public already with the same content is a success that changes
// nothing; with other content it is an *ExistsError. A part that an earlier
// release holds is referred to, not sent.
//
// The sequence is one more than the highest of the newest public releases, asked
// again just before publishing; a manifest is never published with one that is
// not higher. GitHub has no lock: two runs at once, of one tag, disturb each
// other until one fails, and of two tags may get one sequence. A workflow's
// "concurrency" keeps them apart.
func PublishGitHub(ctx context.Context, in PublishInput, to GitHubTarget) (Published, error) {
	p, err := newPublication(in, to)
	if err != nil {
		return Published{}, fmt.Errorf("publishing release %s: %w", in.Tag, err)
	}
	if err := p.preflight(ctx); err != nil {
		return Published{}, err // its misses speak for themselves
	}
	done, err := p.run(ctx)
	if err != nil {
		return Published{}, fmt.Errorf("publishing release %s: %w", in.Tag, err)
	}
	return done, nil
}

// PreflightGitHub asks what PublishGitHub would, but for what is still to be
// built: in.DistDir is not looked at. It is for the moment before the building.
func PreflightGitHub(ctx context.Context, in PublishInput, to GitHubTarget) error {
	in.DistDir = ""
	p, err := newPublication(in, to)
	if err != nil {
		return fmt.Errorf("publishing release %s: %w", in.Tag, err)
	}
	return p.preflight(ctx)
}

func newPublication(in PublishInput, to GitHubTarget) (*publication, error) {
	if in.Log == nil {
		in.Log = io.Discard
	}
	in.Log = &safeWriter{w: in.Log}
	if in.Progress == nil {
		in.Progress = func(string, string, int64, int64) {}
	}
	if in.Repository == "" {
		in.Repository = "github:" + to.Name
	}
	if to.Latest == "" {
		to.Latest = LatestAuto
	}
	if !IsRepository(to.Name) {
		return nil, fmt.Errorf("%q is not OWNER/REPO", to.Name)
	}
	h, err := newHub(to, in.Log)
	return &publication{in: in, to: to, h: h}, err
}

func (p *publication) run(ctx context.Context) (Published, error) {
	for range rounds {
		if p.already != nil {
			return *p.already, p.clear(ctx, p.releases)
		}
		done, err := p.round(ctx)
		if !errors.Is(err, errOvertaken) {
			return done, err
		}
		fmt.Fprintf(p.in.Log, "another release was published meanwhile: numbering this one anew\n")
		if p.already, err = p.same(ctx); err != nil {
			return Published{}, err
		}
	}
	return Published{}, fmt.Errorf("other releases were published %d times while this one was uploaded: publish one at a time", rounds)
}

// errOvertaken says that the public releases are not those that were counted.
var errOvertaken = errors.New("another release was published meanwhile")

func (p *publication) round(ctx context.Context) (Published, error) {
	public := publicOf(p.releases)
	sequence, err := p.next(ctx, public)
	if err != nil {
		return Published{}, err
	}
	m, err := bundles.Compose(p.in.Tag, sequence, p.in.Tool, referring(p.dist.frags, hubHolds(public)))
	if err != nil {
		return Published{}, err
	}
	body := body(m, p.to.Notes, p.in.Repository, p.in.Key.Public().String())
	last, err := papers(p.in, m, p.dist.extra)
	if err != nil {
		return Published{}, err
	}
	first := append(partFiles(p.in.DistDir, m), p.dist.extra...)
	want := append(slices.Clone(first), last...)
	drafts := draftsOf(p.releases, p.in.Tag)
	draft, drop := pickDraft(drafts, want)
	plan := p.plan(m, want, draft, drop, public)
	done := result(p.in, m, false)
	done.Plan = plan
	if p.in.DryRun {
		done.Dir = "https://github.com/" + p.to.Name + "/releases/tag/" + p.in.Tag
		return done, nil
	}
	for _, d := range drop {
		if err := p.h.removeDraft(ctx, d); err != nil {
			return Published{}, err
		}
	}
	standing := &github.RepositoryRelease{TagName: &p.in.Tag, TargetCommitish: &plan.Commit, Name: &p.in.Tag, Body: &body,
		Draft: github.Bool(true), Prerelease: &plan.Prerelease}
	if draft == nil {
		if draft, err = p.h.createDraft(ctx, standing); err != nil {
			return Published{}, err
		}
		fmt.Fprintf(p.in.Log, "made draft %d\n", draft.ID)
	} else {
		fmt.Fprintf(p.in.Log, "going on with draft %d\n", draft.ID)
	}
	if err := p.converge(ctx, draft, first, last); err != nil {
		return Published{}, err
	}
	// Nothing may have become untrue while the files were sent.
	now, err := p.h.releases(ctx)
	if err != nil {
		return Published{}, err
	}
	if !samePublic(public, now) {
		p.releases = now
		return Published{}, errOvertaken
	}
	at, err := p.h.commit(ctx, "tags/"+p.in.Tag)
	if err != nil {
		return Published{}, err
	}
	if at != plan.Commit && (at != "" || p.tagged != "") {
		return Published{}, fmt.Errorf("tag %s was moved while the files were uploaded: it names commit %q, not %s", p.in.Tag, at, plan.Commit)
	}
	standing.Draft, standing.MakeLatest = github.Bool(false), github.String(fmt.Sprint(plan.Latest))
	if err := p.h.publish(ctx, draft.ID, standing); err != nil {
		return Published{}, err
	}
	fmt.Fprintf(p.in.Log, "published %s with sequence %d\n", p.in.Tag, sequence)
	done.Dir, err = p.confirm(ctx, draft.ID, plan.Commit, want)
	if err != nil {
		return Published{}, err
	}
	return done, p.clear(ctx, now, draft.ID)
}

// next is the sequence of the next release.
func (p *publication) next(ctx context.Context, public []hubRelease) (int64, error) {
	var highest int64
	asked := 0
	for _, r := range public {
		a, ok := uploaded(r.Assets, bundles.ManifestName)
		if !ok || asked == lookBack {
			continue
		}
		asked++
		raw, err := p.h.read(ctx, a)
		if err != nil {
			return 0, err
		}
		// Not verified: what counts here is only which numbers are taken.
		var m bundles.Manifest
		if err := json.Unmarshal(raw, &m); err != nil {
			return 0, fmt.Errorf("%s of release %s: %w", bundles.ManifestName, r.Tag, err)
		}
		highest = max(highest, m.Sequence)
	}
	return highest + 1, nil
}

func (p *publication) plan(m *bundles.Manifest, want []file, draft *hubRelease, drop []hubRelease, public []hubRelease) *Plan {
	plan := &Plan{Repository: p.in.Repository, Tag: p.in.Tag, Sequence: m.Sequence, Commit: p.tagged}
	if plan.Commit == "" {
		plan.Commit = p.to.Commit
	}
	plan.Latest, plan.Prerelease, plan.Why = standing(p.in.Tag, p.to.Latest, public)
	var have []Asset
	if draft != nil {
		have = draft.Assets
	}
	d := compare(want, have)
	plan.Upload, plan.Reuse = planFiles(d.missing), planFiles(d.kept)
	for _, key := range slices.Sorted(maps.Keys(m.Parts)) {
		if part := m.Parts[key]; part.Release != nil {
			plan.Refer = append(plan.Refer, PlanFile{part.Name, part.Size, *part.Release})
		}
	}
	for _, a := range d.stray {
		plan.Remove = append(plan.Remove, a.Name)
	}
	for _, r := range drop {
		plan.Remove = append(plan.Remove, fmt.Sprintf("draft %d", r.ID))
	}
	lists := (len(p.releases)-1)/releasesPerPage + 1
	plan.Calls = int(p.h.calls.Load()) + len(plan.Remove) + len(plan.Upload) + (len(want)-1)/100 + 1 + // …, all assets once
		lists + 1 + 1 + 2 // releases again, the tag, publish, and what came of it
	if draft == nil {
		plan.Calls++
	} else {
		plan.Calls += (len(have)-1)/100 + 1
	}
	return plan
}

func samePublic(before, now []hubRelease) bool {
	ids := func(all []hubRelease) map[int64]bool {
		m := map[int64]bool{}
		for _, r := range all {
			m[r.ID] = true
		}
		return m
	}
	return maps.Equal(ids(before), ids(publicOf(now)))
}

// confirm asks GitHub what a reader would now get.
func (p *publication) confirm(ctx context.Context, id int64, commit string, want []file) (page string, err error) {
	r, err := p.h.byTag(ctx, p.in.Tag)
	if err != nil {
		return "", err
	}
	at, err := p.h.commit(ctx, "tags/"+p.in.Tag)
	switch {
	case err != nil:
		return "", err
	case r.ID != id:
		return "", fmt.Errorf("tag %s leads to release %d, and this is %d: another run published it at the same time", p.in.Tag, r.ID, id)
	case !strings.EqualFold(at, commit):
		return "", fmt.Errorf("it is public, and its tag names commit %s instead of %s", at, commit)
	}
	if len(r.Assets) < len(want) { // a long list may be cut
		if r.Assets, err = p.h.assets(ctx, id); err != nil {
			return "", err
		}
	}
	if d := compare(want, r.Assets); len(d.missing) > 0 {
		return "", fmt.Errorf("it is public without %s: another run changed it at the same time", d.missing[0].name)
	}
	return r.Page, nil
}

// clear removes drafts of the tag that earlier runs left, but for those named.
func (p *publication) clear(ctx context.Context, all []hubRelease, but ...int64) error {
	for _, d := range draftsOf(all, p.in.Tag) {
		if slices.Contains(but, d.ID) || p.in.DryRun {
			continue
		}
		if err := p.h.removeDraft(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// IsRepository tells whether a name is OWNER/REPO.
func IsRepository(name string) bool {
	return repositoryForm.MatchString(name) && !strings.HasSuffix(name, "/.") && !strings.HasSuffix(name, "/..")
}

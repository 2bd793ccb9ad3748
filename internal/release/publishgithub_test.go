package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

// jump is a clock that does not wait: it goes on to when the wait would end.
type jump struct {
	mu sync.Mutex
	t  time.Time
}

func newJump() *jump { return &jump{t: time.Unix(1_790_000_000, 0)} }

func (c *jump) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *jump) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return ctx.Err()
}

func hubOptions(f *hubtest.Hub) Options {
	return Options{Token: secret, GitHubBaseURL: f.URL(), UserAgent: "llcuda-test"}
}

// stand is a fake GitHub and what a test publishes to it.
type stand struct {
	*hubtest.Hub
	t     testing.TB
	clock *jump
	in    PublishInput
	to    GitHubTarget
}

func newStand(t testing.TB) *stand {
	f, clock := hubtest.New(t), newJump()
	f.Now = clock.Now
	return &stand{Hub: f, t: t, clock: clock,
		in: PublishInput{Tag: "v1", DistDir: writeDist(t, "llama"), Key: newKey(t), Tool: "test"},
		to: GitHubTarget{Name: "owner/repo", Options: hubOptions(f), clock: clock}}
}

func (s *stand) publish() (Published, error) { return PublishGitHub(s.t.Context(), s.in, s.to) }

// tag makes another release of it, with the tag pushed.
func (s *stand) tag(tag, llama string) {
	s.in.Tag, s.in.DistDir = tag, writeDist(s.t, llama)
	s.Tags[tag] = hubtest.Head
}

// whole fails unless the release is public, verifies, was never public in another
// state, and no draft of it is left.
func (s *stand) whole(tag string) *bundles.Manifest {
	s.t.Helper()
	s.Do(func() {
		states := slices.Compact(slices.Clone(s.Public[tag]))
		if len(states) != 1 {
			s.t.Errorf("%s was public in %d states:\n%s", tag, len(states), strings.Join(states, "\n---\n"))
		}
		for _, r := range s.Releases {
			if r.Draft && strings.Contains(r.Body, marker(tag)) {
				s.t.Errorf("draft %d of %s is left", r.ID, tag)
			}
		}
	})
	src := parse(s.t, repository, hubOptions(s.Hub))
	m := verified(s.t, src, tag, s.in.Key)
	assets, err := src.(*GitHub).Assets(s.t.Context(), tag)
	must(s.t, err)
	if want := len(ownParts(m)) + 3 + len(s.in.Extra); len(assets) != want {
		s.t.Errorf("%s has %d assets, want %d: %+v", tag, len(assets), want, assets)
	}
	return m
}

// changes are the requests that changed something.
func (s *stand) changes() (list []hubtest.Call) {
	s.Do(func() {
		for _, c := range s.Calls {
			if c.Change() {
				list = append(list, c)
			}
		}
	})
	return list
}

func TestPublishedOnGitHubIsWholeAndLatest(t *testing.T) {
	s := newStand(t)
	bill := filepath.Join(t.TempDir(), "bill")
	must(t, os.WriteFile(bill, []byte("{}"), 0o644))
	s.in.Extra = map[string]string{"cpu.spdx.json": bill}
	s.to.Notes = "What is new."
	var steps []string
	s.in.Progress = func(item, step string, done, total int64) {
		if step == "" && done == total {
			steps = append(steps, item) // several at once, so only the last are in order
		}
	}
	var mu sync.Mutex
	progress := s.in.Progress
	s.in.Progress = func(item, step string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		progress(item, step, done, total)
	}
	done, err := s.publish()
	must(t, err)
	m := s.whole("v1")
	if done.Sequence != 1 || m.Sequence != 1 || done.Parts != 3 || done.Already || !strings.HasPrefix(done.Dir, "https://") {
		t.Errorf("%+v", done)
	}
	if n := len(steps); n != 7 || !slices.Equal(steps[n-3:], []string{bundles.ManifestName, bundles.SignatureName, bundles.SumsName}) {
		t.Errorf("sent in the order %q", steps)
	}
	r := s.Releases[0]
	if s.Latest != r.ID || r.Draft || r.Pre || !strings.HasPrefix(r.Body, "What is new.\n") || !strings.Contains(r.Body, s.in.Key.Public().String()) {
		t.Errorf("latest %d, release %+v", s.Latest, r)
	}
	for _, a := range r.Assets {
		if a.Name != bundles.SumsName {
			continue
		}
		sums, err := bundles.ParseSums(a.Data)
		must(t, err)
		if len(sums) != 5 {
			t.Errorf("SHA256SUMS has %d lines", len(sums))
		}
	}
}

func TestEveryMissIsNamedAtOnce(t *testing.T) {
	s := newStand(t)
	s.Archived, s.Push = true, false
	s.Tags["v1"] = hubtest.Other
	s.to.Commit = hubtest.Head
	s.in.Key = bundles.PrivateKey{}
	s.in.Repository = "github:owner/other"
	s.in.Extra = map[string]string{"no such": "/nowhere", "cublas-12.4.tar.zst": filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst"), "gone.json": "/nowhere/gone", "pipe.json": filepath.Join(t.TempDir(), "pipe")}
	must(t, unix.Mkfifo(s.in.Extra["pipe.json"], 0o600))
	must(t, flip(filepath.Join(s.in.DistDir, "llama-cuda12.4-all.tar.zst")))
	must(t, os.Remove(filepath.Join(s.in.DistDir, "llama-cuda12.4-sm75.tar.zst")))
	s.in.Checks = []func(context.Context) error{
		func(context.Context) error {
			return errors.Join(errors.New("model a is gone"), errors.New("model b is gone"))
		},
		func(context.Context) error { return errors.New("the promise has a hole") },
	}
	_, err := s.publish()
	var e *PreflightError
	if !errors.As(err, &e) || e.ExitCode() != 1 {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"no key to sign with", `would bind "github:owner/other"`, "extra file no such", "extra file gone.json", "pipe is not a file", "extra file cublas-12.4.tar.zst has the name of a part",
		"llama-cuda12.4-all.tar.zst has digest", "llama-cuda12.4-sm75.tar.zst is missing", "model a is gone", "model b is gone", "the promise has a hole",
		"is archived", "may not write to github:owner/repo", "tag v1 names commit 2222"} {
		n := 0
		for _, m := range e.Misses {
			if strings.Contains(m.Error(), want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is named %d times", want, n)
		}
	}
	if len(e.Misses) != 14 {
		t.Errorf("%d misses:\n%v", len(e.Misses), err)
	}
	if c := s.changes(); len(c) > 0 {
		t.Errorf("something was changed: %v", c)
	}
}

func TestWhatBarsAReleaseIsFoundBeforeAnythingIsChanged(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *stand)
		want  string
	}{
		"no token":                             {func(s *stand) { s.to.Token = "" }, "no token for GitHub"},
		"a wrong token":                        {func(s *stand) { s.to.Token = "expired" }, "HTTP status 401: Bad credentials"},
		"a repository that is not there":       {func(s *stand) { s.to.Name, s.in.Repository = "owner/other", "" }, "HTTP status 404"},
		"a repository of another name by now":  {func(s *stand) { s.FullName = "owner/renamed" }, "is called owner/renamed now"},
		"a reader's token":                     {func(s *stand) { s.Push = false }, "the token may not write"},
		"a classic token without the scope":    {func(s *stand) { s.Scopes = "gist, notifications" }, "its scopes are gist, notifications"},
		"public_repo for a private repository": {func(s *stand) { s.Scopes, s.Private = "public_repo", true }, "its scopes are public_repo"},
		"no tag and no target":                 {func(s *stand) { delete(s.Tags, "v1") }, "there is no tag v1"},
		"a target that was not pushed": {func(s *stand) { delete(s.Tags, "v1"); s.to.Commit = strings.Repeat("3", 40) },
			"github:owner/repo has no commit 333"},
		"a target that is no id":        {func(s *stand) { s.to.Commit = "main" }, `target "main" is no commit's full id`},
		"a tag on another commit":       {func(s *stand) { s.to.Commit = hubtest.Other }, "tag v1 names commit 1111"},
		"a bad tag":                     {func(s *stand) { s.in.Tag = "../v1" }, "release tag"},
		"a release of other people":     {func(s *stand) { s.AddAsset(s.Add("v1", "", false), "readme.txt", []byte("x")) }, "was not published by this program"},
		"an earlier release without it": {func(s *stand) { refer(s.t, s.in.DistDir, "v0") }, "is said to be in release v0"},
		"an empty dist":                 {func(s *stand) { s.in.DistDir = s.t.TempDir() }, "no *.bundle.json"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.t = t
			c.spoil(s)
			_, err := s.publish()
			var e *PreflightError
			if !errors.As(err, &e) || len(e.Misses) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one miss with %q", err, c.want)
			}
			if c := s.changes(); len(c) > 0 {
				t.Errorf("something was changed: %v", c)
			}
		})
	}
}

// refer lets the fragments say that a release holds the runtime.
func refer(t testing.TB, dist, tag string) {
	for _, id := range []string{"cuda12.4-all", "cuda12.4-sm75"} {
		f, err := bundles.ReadFragment(bundles.FragmentPath(dist, id))
		must(t, err)
		for k, p := range f.Parts {
			if p.Kind == bundles.PartRuntime {
				p.Release = &tag
				f.Parts[k] = p
			}
		}
		_, err = bundles.WriteFragment(dist, f)
		must(t, err)
	}
}

func TestPreflightBeforeTheBuildAsksAllButTheParts(t *testing.T) {
	s := newStand(t)
	s.in.DistDir = ""
	must(t, PreflightGitHub(t.Context(), s.in, s.to))
	s.Do(func() { s.Archived = true })
	delete(s.Tags, "v1")
	s.in.Checks = []func(context.Context) error{func(context.Context) error { return errors.New("a model is gone") }}
	err := PreflightGitHub(t.Context(), s.in, s.to)
	var e *PreflightError
	if !errors.As(err, &e) || len(e.Misses) != 3 {
		t.Errorf("error %v", err)
	}
	if c := s.changes(); len(c) > 0 {
		t.Errorf("something was changed: %v", c)
	}
}

func TestTokensOfWorkflowsMayPublish(t *testing.T) {
	s := newStand(t)
	s.Push, s.App = false, true
	_, err := s.publish()
	must(t, err)
	s.whole("v1")
}

func TestTheSameReleaseAgainChangesNothing(t *testing.T) {
	for _, immutable := range []bool{false, true} {
		s := newStand(t)
		s.Do(func() { s.Immutable = immutable })
		_, err := s.publish()
		must(t, err)
		before := len(s.changes())
		s.in.Tool = "a newer program"
		s.Do(func() { s.NoDigests = immutable }) // then it is read back
		again, err := s.publish()
		must(t, err)
		if !again.Already || again.Sequence != 1 || len(s.changes()) != before {
			t.Errorf("%+v, %v", again, s.changes()[before:])
		}
		s.Do(func() { s.NoDigests = false })
		s.whole("v1")
	}
}

func TestOtherContentUnderAPublicTagIsRefused(t *testing.T) {
	for name, change := range map[string]func(s *stand){
		"other parts": func(s *stand) { s.in.DistDir = writeDist(s.t, "other") },
		"another key": func(s *stand) { s.in.Key = newKey(s.t) },
		"a file more": func(s *stand) {
			s.in.Extra = map[string]string{"x.json": filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst")}
		},
		"a file gone": func(s *stand) { s.Releases[0].Assets = s.Releases[0].Assets[1:] },
		"a file rotten": func(s *stand) {
			a := s.Releases[0].Assets[0]
			a.Data, a.Digest = []byte("rot"), digestOf([]byte("rot"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.t = t
			_, err := s.publish()
			must(t, err)
			before := len(s.changes())
			change(s)
			_, err = s.publish()
			var e *ExistsError
			if !errors.As(err, &e) || e.Hint() == "" {
				t.Errorf("error %v, want an *ExistsError", err)
			}
			if c := s.changes()[before:]; len(c) > 0 {
				t.Errorf("something was changed: %v", c)
			}
		})
	}
}

func TestTagIsMadeOnTheTargetWhereItIsNotPushed(t *testing.T) {
	s := newStand(t)
	delete(s.Tags, "v1")
	s.to.Commit = hubtest.Other
	_, err := s.publish()
	must(t, err)
	if s.Tags["v1"] != hubtest.Other {
		t.Errorf("tag on %q", s.Tags["v1"])
	}
	s.whole("v1")
}

func TestTagThatMovesDuringTheUploadStopsIt(t *testing.T) {
	s := newStand(t)
	s.Fault = func(c hubtest.Call) *hubtest.Fault {
		if c.Method == http.MethodPost && strings.HasSuffix(c.Path, "/assets") {
			s.Tags["v1"] = hubtest.Other
		}
		return nil
	}
	if _, err := s.publish(); err == nil || !strings.Contains(err.Error(), "was moved") {
		t.Errorf("error %v", err)
	}
	if len(s.Public["v1"]) > 0 {
		t.Error("it is public")
	}
}

func TestRuntimeOfAnEarlierReleaseIsReferredTo(t *testing.T) {
	s := newStand(t)
	_, err := s.publish()
	must(t, err)
	s.tag("v2", "newer")
	done, err := s.publish()
	must(t, err)
	m := s.whole("v2")
	if done.Sequence != 2 || m.Sequence != 2 || len(done.Plan.Refer) != 1 || done.Plan.Refer[0].Release != "v1" || len(done.Plan.Upload) != 5 {
		t.Errorf("%+v", done.Plan)
	}
	for _, p := range m.Parts {
		if p.Kind == bundles.PartRuntime && (p.Release == nil || *p.Release != "v1" || p.Size == 0) {
			t.Errorf("runtime %+v", p)
		}
	}
	// The third refers to the first, not to a release that refers itself; and what
	// a fragment says by itself counts.
	s.tag("v3", "newest")
	refer(t, s.in.DistDir, "v1")
	must(t, os.Remove(filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst")))
	_, err = s.publish()
	must(t, err)
	if m := s.whole("v3"); m.Sequence != 3 {
		t.Errorf("sequence %d", m.Sequence)
	}
	// And each of them again is what it was.
	again, err := s.publish()
	must(t, err)
	if !again.Already {
		t.Errorf("%+v", again)
	}
}

func TestDraftsAndOtherPeoplesReleasesHoldNothing(t *testing.T) {
	s := newStand(t)
	runtime, err := os.ReadFile(filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst"))
	must(t, err)
	s.AddAsset(s.Add("nightly", "", false), "cublas-12.4.tar.zst", runtime) // without a manifest
	draft := s.Add("v0", "notes by hand", true)
	s.AddAsset(draft, "cublas-12.4.tar.zst", runtime)
	s.AddAsset(draft, bundles.ManifestName, []byte("{}"))
	_, err = s.publish()
	must(t, err)
	for _, p := range s.whole("v1").Parts {
		if p.Release != nil {
			t.Errorf("part %s is said to be in %s", p.Name, *p.Release)
		}
	}
}

func TestSequenceIsHigherThanEveryOneBefore(t *testing.T) {
	s := newStand(t)
	for i, seq := range []int{3, 41, 7} {
		r := s.Add(fmt.Sprintf("old%d", i), "", false)
		s.AddAsset(r, bundles.ManifestName, fmt.Appendf(nil, `{"schema":1,"sequence":%d}`, seq))
	}
	s.Add("other", "", false) // newer, and none of ours
	done, err := s.publish()
	must(t, err)
	if done.Sequence != 42 {
		t.Errorf("sequence %d", done.Sequence)
	}
}

func TestReleaseThatIsOvertakenIsNumberedAnew(t *testing.T) {
	s := newStand(t)
	overtaken := false
	s.Hook = func(n int, phase string) {
		now := false
		s.Do(func() {
			c := s.Calls[n]
			now = phase == "answered" && !overtaken && c.Method == http.MethodPost && strings.HasSuffix(c.Path, "/assets")
			overtaken = overtaken || now
		})
		if now {
			s.AddAsset(s.Add("between", "", false), bundles.ManifestName, []byte(`{"schema":1,"sequence":9}`))
		}
	}
	s.to.clock = s.clock
	done, err := s.publish()
	must(t, err)
	if m := s.whole("v1"); m.Sequence != 10 || done.Sequence != 10 {
		t.Errorf("sequence %d, said %d", m.Sequence, done.Sequence)
	}
}

func TestDryRunTellsWhatARunDoes(t *testing.T) {
	s := newStand(t)
	_, err := s.publish()
	must(t, err)
	s.tag("v2", "newer")
	s.in.DryRun = true
	before := len(s.changes())
	dry, err := s.publish()
	must(t, err)
	if c := s.changes()[before:]; len(c) > 0 || dry.Plan == nil {
		t.Fatalf("a dry run changed something: %v, plan %v", c, dry.Plan)
	}
	s.in.DryRun = false
	calls := len(s.Calls)
	done, err := s.publish()
	must(t, err)
	if diff := cmp.Diff(dry.Plan, done.Plan); diff != "" {
		t.Errorf("the plans differ:\n%s", diff)
	}
	if made := len(s.Calls) - calls; made != dry.Plan.Calls {
		t.Errorf("%d calls were planned and %d made", dry.Plan.Calls, made)
	}
	var text strings.Builder
	must(t, dry.Plan.WriteText(&text))
	for _, want := range []string{"upload  llama-cuda12.4-all.tar.zst", "refer   cublas-12.4.tar.zst", "in release v1", "sequence 2, commit 1111", "latest (it is the newest)", " 5 files, ", " API calls"} {
		if !strings.Contains(strings.ReplaceAll("\n"+text.String(), "\n", "\n "), want) {
			t.Errorf("the plan lacks %q:\n%s", want, text.String())
		}
	}
}

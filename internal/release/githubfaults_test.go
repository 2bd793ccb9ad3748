package release

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

// isUpload and the others pick the requests that a fault is for.
func isUpload(c hubtest.Call) bool  { return c.Method == "POST" && strings.HasSuffix(c.Path, "/assets") }
func isCreate(c hubtest.Call) bool  { return c.Method == "POST" && c.Path == "/releases" }
func isPublish(c hubtest.Call) bool { return c.Method == "PATCH" }
func isDelete(c hubtest.Call) bool  { return c.Method == "DELETE" }
func isGet(c hubtest.Call) bool     { return c.Method == "GET" }
func isAny(hubtest.Call) bool       { return true }

// TestFaultsOfGitHubAreGotOver has each kind of request fail in each way that
// GitHub and networks know, once and several times over.
func TestFaultsOfGitHubAreGotOver(t *testing.T) {
	limit := map[string]string{"Retry-After": "7"}
	spent := map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1790000600"}
	for _, c := range []struct {
		name  string
		which func(hubtest.Call) bool
		fault hubtest.Fault
	}{
		{"an upload answered with 502 that succeeded", isUpload, hubtest.Fault{Act: true, Status: 502}},
		{"an upload answered with 502 that left a starter", isUpload, hubtest.Fault{Starter: true, Status: 502}},
		{"an upload answered with 500", isUpload, hubtest.Fault{Status: 500}},
		{"an upload cut off", isUpload, hubtest.Fault{Cut: true}},
		{"an upload cut off that left a starter", isUpload, hubtest.Fault{Starter: true, Cut: true}},
		{"an upload whose answer is lost", isUpload, hubtest.Fault{Act: true, Cut: true}},
		{"a draft answered with 502 that was made", isCreate, hubtest.Fault{Act: true, Status: 502}},
		{"a draft answered with 502", isCreate, hubtest.Fault{Status: 502}},
		{"a draft whose answer is lost", isCreate, hubtest.Fault{Act: true, Cut: true}},
		{"publishing answered with 502 that was done", isPublish, hubtest.Fault{Act: true, Status: 502}},
		{"publishing answered with 504", isPublish, hubtest.Fault{Status: 504}},
		{"publishing whose answer is lost", isPublish, hubtest.Fault{Act: true, Cut: true}},
		{"a removal answered with 502 that was done", isDelete, hubtest.Fault{Act: true, Status: 502}},
		{"a question answered with 503", isGet, hubtest.Fault{Status: 503}},
		{"a question whose answer is lost", isGet, hubtest.Fault{Cut: true}},
		{"a secondary limit with Retry-After", isAny, hubtest.Fault{Status: 403, Header: limit, Message: "You have exceeded a secondary rate limit."}},
		{"a secondary limit without", isAny, hubtest.Fault{Status: 403, Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}},
		{"a limit by 429", isAny, hubtest.Fault{Status: 429, Header: limit}},
		{"the hourly limit", isAny, hubtest.Fault{Status: 403, Header: spent, Message: "API rate limit exceeded for user ID 1."}},
	} {
		for _, times := range []int{1, 3} {
			if times > 1 && c.name[:9] != "an upload" && c.name[:5] != "a sec" {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				s := newStand(t)
				if !strings.HasPrefix(c.name, "a draft") { // of an earlier run, so that there is something to remove
					s.AddAsset(s.Add("v1", marker("v1"), true), "stray.txt", nil)
				}
				left, met := times, 0
				s.Fault = func(call hubtest.Call) *hubtest.Fault {
					if left == 0 || !c.which(call) {
						return nil
					}
					left--
					met++
					return &c.fault
				}
				began := s.clock.Now()
				_, err := s.publish()
				must(t, err)
				s.whole("v1")
				// What was done all the same is not asked for again.
				if met != times && (met == 0 || !c.fault.Act) {
					t.Errorf("the fault was met %d times", met)
				}
				if waited := s.clock.Now().Sub(began); c.fault.Header["Retry-After"] != "" && waited < 7*time.Second {
					t.Errorf("waited %s only", waited)
				}
			})
		}
	}
}

func TestWhatGitHubRefusesForGoodEndsTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		which func(hubtest.Call) bool
		fault hubtest.Fault
		want  string
		most  int
	}{
		"an upload not let in":         {isUpload, hubtest.Fault{Status: 403, Message: "Resource not accessible by integration"}, "contents: write", abreast},
		"an upload that is malformed":  {isUpload, hubtest.Fault{Status: 422, Message: "Bad name"}, "GitHub's message", abreast},
		"a draft not let in":           {isCreate, hubtest.Fault{Status: 403, Message: "Resource not accessible by integration"}, "contents: write", 1},
		"publishing against the rules": {isPublish, hubtest.Fault{Status: 422, Message: "Repository rule violations found"}, "tag rules", 1},
		"a host that is down":          {isUpload, hubtest.Fault{Status: 502}, "run the same command again", tries * abreast},
		"limits without an end":        {isCreate, hubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "1"}}, "wait that long", limitTries + 1},
		"a limit of a day":             {isCreate, hubtest.Fault{Status: 429, Header: map[string]string{"Retry-After": "86400"}}, "wait that long", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			met := 0
			s.Fault = func(call hubtest.Call) *hubtest.Fault {
				if !c.which(call) {
					return nil
				}
				met++
				return &c.fault
			}
			_, err := s.publish()
			var e *HubError
			if !errors.As(err, &e) || !strings.Contains(e.Hint(), c.want) || e.ExitCode() != 1 {
				t.Errorf("error %v, want a *HubError with a hint of %q", err, c.want)
			}
			if met == 0 || met > c.most {
				t.Errorf("asked %d times", met)
			}
			if len(s.Public["v1"]) > 0 {
				t.Error("it is public")
			}
			// And when GitHub thinks better of it, the same command goes on.
			s.Do(func() { s.Fault = nil })
			_, err = s.publish()
			must(t, err)
			s.whole("v1")
		})
	}
}

func TestDraftsOfKilledRunsAreGoneOnWith(t *testing.T) {
	s := newStand(t)
	runtime, err := os.ReadFile(filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst"))
	must(t, err)
	all, err := os.ReadFile(filepath.Join(s.in.DistDir, "llama-cuda12.4-all.tar.zst"))
	must(t, err)
	s.Add("v1", marker("v1"), true) // an empty one
	best := s.Add("v1", "text "+marker("v1")+" text", true)
	s.AddAsset(best, "cublas-12.4.tar.zst", runtime)
	s.AddAsset(best, "llama-cuda12.4-all.tar.zst", slices.Concat(all[:len(all)-1], []byte{all[len(all)-1] ^ 1})) // the size of it
	s.AddAsset(best, "llama-cuda12.4-sm75.tar.zst", nil)                                                         // a starter
	s.AddAsset(best, bundles.ManifestName, []byte(`{"sequence":7}`))                                             // of another number
	s.AddAsset(best, "old.cell.tar.zst", []byte("x"))
	s.AddAsset(s.Add("v1", marker("v1"), true), "stray", []byte("x"))
	foreign := s.Add("v1", "written by hand", true)
	later := s.Add("v2", marker("v2"), true)
	done, err := s.publish()
	must(t, err)
	s.whole("v1")
	if len(done.Plan.Reuse) != 1 || len(done.Plan.Upload) != 5 || len(done.Plan.Remove) != 6 {
		t.Errorf("plan %+v", done.Plan)
	}
	if best.Draft || !foreign.Draft || !later.Draft || len(s.Releases) != 3 {
		t.Errorf("%d releases are left", len(s.Releases))
	}
	for _, a := range best.Assets {
		if a.Name == "cublas-12.4.tar.zst" && a.ID > later.ID {
			t.Error("what fits was sent again")
		}
	}
}

func TestDraftThatWasNotListedInTimeLeavesNoTwin(t *testing.T) {
	s := newStand(t)
	twin := s.Add("v1", marker("v1"), true)
	// GitHub's list lacks it until the new one is made.
	s.Do(func() { s.Releases = nil })
	s.Hook = func(n int, phase string) {
		s.Do(func() {
			if phase == "done" && isCreate(s.Calls[n]) {
				s.Releases = append(s.Releases, twin)
			}
		})
	}
	_, err := s.publish()
	must(t, err)
	s.whole("v1")
}

func TestAssetsWithoutDigestAreReadBack(t *testing.T) {
	s := newStand(t)
	s.Do(func() { s.NoDigests = true })
	_, err := s.publish()
	must(t, err)
	s.whole("v1")
	// One that rotted in the draft of an earlier run is found out.
	s = newStand(t)
	s.Do(func() { s.NoDigests = true })
	runtime, err := os.ReadFile(filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst"))
	must(t, err)
	runtime[len(runtime)/2] ^= 1
	s.AddAsset(s.Add("v1", marker("v1"), true), "cublas-12.4.tar.zst", runtime)
	_, err = s.publish()
	must(t, err)
	s.whole("v1")
}

func TestFileThatGitHubRenamesIsNotPublished(t *testing.T) {
	s := newStand(t)
	s.Rename = func(name string) string { return strings.Replace(name, "sm75", "sm.75", 1) }
	_, err := s.publish()
	var e *RenamedError
	if !errors.As(err, &e) || e.Got != "llama-cuda12.4-sm.75.tar.zst" || e.Hint() == "" {
		t.Errorf("error %v", err)
	}
	for _, a := range s.Releases[0].Assets {
		if a.Name == e.Got {
			t.Error("it was left in the draft")
		}
	}
}

func TestTagOfAnImmutableReleaseIsGoneForGood(t *testing.T) {
	s := newStand(t)
	s.Immutable, s.Burnt["v1"] = true, true // published once, and deleted
	_, err := s.publish()
	var e *HubError
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "used by an immutable release") || !strings.Contains(e.Hint(), "new tag") {
		t.Errorf("error %v, hint %q", err, e.Hint())
	}
	s.tag("v2", "llama")
	_, err = s.publish()
	must(t, err)
	s.whole("v2")
}

func TestFileThatChangesWhileItIsSentIsNotPublished(t *testing.T) {
	s := newStand(t)
	s.Fault = func(c hubtest.Call) *hubtest.Fault {
		if isCreate(c) {
			must(t, flip(filepath.Join(s.in.DistDir, "cublas-12.4.tar.zst")))
		}
		return nil
	}
	_, err := s.publish()
	if err == nil || !strings.Contains(err.Error(), "cublas-12.4.tar.zst") {
		t.Errorf("error %v", err)
	}
	if len(s.Public["v1"]) > 0 {
		t.Error("it is public")
	}
}

func TestPublishingEndsWithItsContext(t *testing.T) {
	s := newStand(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Fault = func(c hubtest.Call) *hubtest.Fault {
		if isUpload(c) {
			cancel()
		}
		return nil
	}
	if _, err := PublishGitHub(ctx, s.in, s.to); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.Do(func() { s.Fault = nil })
	_, err := s.publish()
	must(t, err)
	s.whole("v1")
}

func TestUploadStaysInHTTPSAndWithGitHub(t *testing.T) {
	h, err := newHub(GitHubTarget{Name: "owner/repo"}, nil)
	must(t, err)
	for _, at := range []string{"http://uploads.github.com/x{?name}", "", "ftp://h/x", "//h/x"} {
		if u, err := h.uploadAddress(&hubRelease{UploadURL: at}, "a"); err == nil {
			t.Errorf("%q becomes %q", at, u)
		}
	}
	u, err := h.uploadAddress(&hubRelease{UploadURL: "https://uploads.github.com/repos/o/r/releases/1/assets{?name,label}"}, "a+b.txt")
	if err != nil || u != "https://uploads.github.com/repos/o/r/releases/1/assets?name=a%2Bb.txt" {
		t.Errorf("%q, %v", u, err)
	}
}

func TestUploadThatStandsStillIsBrokenOff(t *testing.T) {
	gone := make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { <-gone })
	defer close(gone)
	h, err := newHub(GitHubTarget{Name: "owner/repo", Options: Options{GitHubBaseURL: srv.URL, Stall: 50 * time.Millisecond}}, nil)
	must(t, err)
	big := inMemory("big", make([]byte, 64<<20)) // more than any buffer between takes
	_, err = h.upload(t.Context(), &hubRelease{UploadURL: srv.URL + "/assets"}, big, nil)
	var e *StallError
	if !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

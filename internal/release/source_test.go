package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

func digestOf(data []byte) string {
	s := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(s[:])
}

func parse(t testing.TB, spec string, o Options) Source {
	t.Helper()
	s, err := Parse(spec, o)
	must(t, err)
	return s
}

// serve starts a server and stops it with the test.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

const secret = hubtest.Token

// conformance is what every source promises, over a folder with v1 and v2.
func conformance(t *testing.T, dir string, key bundles.PrivateKey, open func(tag string) Source) {
	t.Run("the newest release verifies", func(t *testing.T) {
		if m := verified(t, open(""), "", key); m.Release != "v2" || m.Sequence != 2 {
			t.Errorf("newest is %s with sequence %d", m.Release, m.Sequence)
		}
	})
	t.Run("a named release verifies", func(t *testing.T) {
		if m := verified(t, open(""), "v1", key); m.Release != "v1" {
			t.Errorf("got %s", m.Release)
		}
		if m := verified(t, open("v1"), "", key); m.Release != "v1" {
			t.Errorf("got %s", m.Release)
		}
	})
	t.Run("bytes are the folder's from any offset", func(t *testing.T) {
		name := "llama-cuda12.4-sm75.tar.zst"
		want, err := os.ReadFile(filepath.Join(dir, "v1", name))
		must(t, err)
		s := open("")
		for _, at := range []int{0, 1, len(want) / 2, len(want) - 1, len(want)} {
			r, size, err := s.Open(t.Context(), "v1", name, int64(at))
			if e := (*NoResumeError)(nil); errors.As(err, &e) && e.NoResume() && at > 0 {
				if r, size, err = s.Open(t.Context(), "v1", name, 0); err == nil {
					_, err = io.CopyN(io.Discard, r, int64(at))
				}
			}
			must(t, err)
			got, err := io.ReadAll(r)
			must(t, errors.Join(err, r.Close()))
			if size != int64(len(want)) || !bytes.Equal(got, want[at:]) {
				t.Errorf("from %d: %d bytes of %d, want %d of %d", at, len(got), size, len(want)-at, len(want))
			}
		}
		r, size, err := s.OpenRange(t.Context(), "v1", name, 3, 9)
		if e := (*NoResumeError)(nil); !errors.As(err, &e) {
			must(t, err)
			got := make([]byte, 6)
			_, err = io.ReadFull(r, got)
			must(t, errors.Join(err, r.Close()))
			if size != int64(len(want)) || !bytes.Equal(got, want[3:9]) {
				t.Errorf("bytes 3 to 9 are %q of %d", got, size)
			}
		}
		if _, _, err := s.OpenRange(t.Context(), "v1", name, 9, 3); err == nil {
			t.Error("a range that ends before it begins passes")
		}
		_, _, err = s.Open(t.Context(), "v1", name, int64(len(want)+1))
		if e := (*RangeError)(nil); !errors.As(err, &e) || e.Size != int64(len(want)) {
			t.Errorf("beyond the end: %v", err)
		}
	})
	t.Run("what an installer reads of a release is in the releases that its parts name", func(t *testing.T) {
		s := open("")
		m := verified(t, s, "", key)
		elsewhere := 0
		for k, p := range m.Parts {
			holder := m.Release
			if p.Release != nil {
				holder, elsewhere = *p.Release, elsewhere+1
			}
			// Broken off in the middle and gone on with, as fetch does it.
			var data []byte
			for _, at := range []int64{0, p.Size / 3} {
				r, _, err := s.Open(t.Context(), holder, p.Name, at)
				if e := (*NoResumeError)(nil); errors.As(err, &e) {
					if r, _, err = s.Open(t.Context(), holder, p.Name, 0); err == nil {
						_, err = io.CopyN(io.Discard, r, at)
					}
				}
				must(t, err)
				left := p.Size - at
				if at == 0 {
					left = p.Size / 3
				}
				some, err := io.ReadAll(io.LimitReader(r, left))
				r.Close()
				must(t, err)
				data = append(data, some...)
			}
			if digestOf(data) != k {
				t.Errorf("%s of %s is not what the manifest says", p.Name, holder)
			}
		}
		if elsewhere != 1 {
			t.Errorf("%d parts lie in an earlier release, want the runtime alone", elsewhere)
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		s := open("")
		_, _, err := s.Open(t.Context(), "v1", "gone.tar.zst", 0)
		_, _, _, err2 := s.Manifest(t.Context(), "v9")
		_, _, err3 := s.Open(t.Context(), "v9", "gone.tar.zst", 0)
		for _, err := range []error{err, err2, err3} {
			if e := (*NotFoundError)(nil); !errors.As(err, &e) || e.ExitCode() != 4 || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("error %v, want a *NotFoundError", err)
			}
		}
	})
	t.Run("names that lead elsewhere are refused", func(t *testing.T) {
		s := open("")
		for _, c := range []struct{ tag, name string }{{"..", "passwd"}, {"v1", "../latest"}, {"v1", "a/b"}, {"", "x"}, {"v1", ""}, {"v1/..", "x"}, {"v1", "%2e%2e"}} {
			_, _, err := s.Open(t.Context(), c.tag, c.name, 0)
			if e := (*NotFoundError)(nil); err == nil || errors.As(err, &e) {
				t.Errorf("Open(%q, %q) = %v, want a refusal", c.tag, c.name, err)
			}
		}
		if _, _, err := s.Open(t.Context(), "v1", bundles.SumsName, -1); err == nil {
			t.Error("a negative offset passes")
		}
	})
	t.Run("an ended context ends it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, _, err := open("").Manifest(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("its name has no secret", func(t *testing.T) {
		if s := open("v1").String(); strings.Contains(s, secret) || !strings.HasSuffix(s, "@v1") {
			t.Errorf("named %q", s)
		}
	})
}

func withTag(spec, tag string) string {
	if tag == "" {
		return spec
	}
	return spec + "@" + tag
}

func TestFolderConforms(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	conformance(t, dir, key, func(tag string) Source { return parse(t, withTag(dir, tag), Options{}) })
}

func TestMirrorConforms(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a token for GitHub went to a mirror")
		}
		http.StripPrefix("/some/path", http.FileServer(http.Dir(dir))).ServeHTTP(w, r)
	})
	conformance(t, dir, key, func(tag string) Source {
		return parse(t, withTag(srv.URL+"/some/path", tag), Options{Token: secret})
	})
}

func TestMirrorWithoutRangesConforms(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	})
	conformance(t, dir, key, func(tag string) Source { return parse(t, withTag(srv.URL+"/", tag), Options{}) })
}

func TestGitHubConforms(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	f := hubtest.New(t)
	// The same two releases, published there.
	for _, tag := range []string{"v1", "v2"} {
		f.Tags[tag] = hubtest.Head
		_, err := PublishGitHub(t.Context(), PublishInput{Tag: tag, DistDir: writeDist(t, tag), Key: key, Tool: "test"},
			GitHubTarget{Name: "owner/repo", Options: hubOptions(f), clock: newJump()})
		must(t, err)
	}
	f.ShortLists = true
	f.AddAsset(f.Releases[1], "half.tar.zst", nil)
	o := hubOptions(f)
	conformance(t, dir, key, func(tag string) Source { return parse(t, withTag("github:owner/repo", tag), o) })

	g := parse(t, "github:owner/repo", o).(*GitHub)
	assets, err := g.Assets(t.Context(), "v2")
	must(t, err)
	if len(assets) != 6 || assets[0].Digest == nil || !strings.HasPrefix(*assets[0].Digest, "sha256:") {
		t.Errorf("assets %+v", assets)
	}
	_, _, err = g.Open(t.Context(), "v2", "half.tar.zst", 0)
	if e := (*NotFoundError)(nil); !errors.As(err, &e) || !strings.Contains(e.Detail, "starter") {
		t.Errorf("a broken upload: %v", err)
	}
	if g.Repository() != repository {
		t.Errorf("repository %q", g.Repository())
	}
}

func TestOneReleasesOwnFolderIsASourceToo(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	srv := serve(t, http.FileServer(http.Dir(dir)).ServeHTTP)
	for _, spec := range []string{filepath.Join(dir, "v1"), srv.URL + "/v1"} {
		s := parse(t, spec, Options{})
		verified(t, s, "", key)
		verified(t, s, "v1", key)
		if _, _, _, err := s.Manifest(t.Context(), "v2"); err == nil {
			t.Errorf("%s holds v2", spec)
		}
	}
	// A part of an earlier release lies in the folder beside.
	for _, spec := range []string{filepath.Join(dir, "v2"), srv.URL + "/v2"} {
		verified(t, parse(t, spec, Options{}), "", key)
	}
}

func TestLatestThatPointsToAnOldReleaseIsADowngrade(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	must(t, os.WriteFile(filepath.Join(dir, bundles.LatestName), []byte("v1\n"), 0o644))
	raw, sig, name, err := parse(t, dir, Options{}).Manifest(t.Context(), "")
	must(t, err)
	_, err = bundles.Open(raw, sig, []bundles.PublicKey{key.Public()}, bundles.Want{Release: name, MinSequence: 2})
	if e := (*bundles.DowngradeError)(nil); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

func TestReleaseInAnothersFolderIsRefused(t *testing.T) {
	key := newKey(t)
	dir := published(t, key)
	must(t, os.RemoveAll(filepath.Join(dir, "v2")))
	must(t, os.Rename(filepath.Join(dir, "v1"), filepath.Join(dir, "v2")))
	raw, sig, name, err := parse(t, dir, Options{}).Manifest(t.Context(), "")
	must(t, err)
	_, err = bundles.Open(raw, sig, []bundles.PublicKey{key.Public()}, bundles.Want{Release: name})
	if e := (*bundles.ClaimError)(nil); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

func TestLatestThatClimbsIsRefused(t *testing.T) {
	dir := published(t, newKey(t))
	for _, text := range []string{"../../etc", ".staging-v1-1", "", strings.Repeat("v", 300)} {
		must(t, os.WriteFile(filepath.Join(dir, bundles.LatestName), []byte(text), 0o644))
		if _, _, _, err := parse(t, dir, Options{}).Manifest(t.Context(), ""); err == nil {
			t.Errorf("latest %q passes", text)
		}
	}
}

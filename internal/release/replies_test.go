package release

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/httpsafe"
)

func TestRepliesOfHostsBecomeTypedErrors(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name   string
		reply  func(w http.ResponseWriter)
		status int // of a *StatusError
		after  time.Duration
		limit  bool
	}{
		{name: "500", reply: func(w http.ResponseWriter) { w.WriteHeader(500) }, status: 500},
		{name: "403", reply: func(w http.ResponseWriter) { w.WriteHeader(403) }, status: 403},
		{name: "503", reply: func(w http.ResponseWriter) { w.WriteHeader(503) }, status: 503},
		{name: "429", reply: func(w http.ResponseWriter) { w.WriteHeader(429) }, limit: true},
		{name: "429 with seconds", reply: func(w http.ResponseWriter) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) }, limit: true, after: 7 * time.Second},
		{name: "503 with a date", reply: func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", now.Add(time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(503)
		}, limit: true, after: time.Minute},
		{name: "403 of a spent limit", reply: func(w http.ResponseWriter) {
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Reset", fmt.Sprint(now.Add(time.Hour).Unix()))
			w.WriteHeader(403)
		}, limit: true, after: time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
				c.reply(w)
			})
			// This machine's clock starts in 1970: the host's own is what counts.
			wrong := func() time.Time { return time.Unix(0, 0) }
			for _, s := range []Source{
				parse(t, srv.URL+"/rel", Options{Now: wrong}),
				parse(t, "github:o/r", Options{GitHubBaseURL: srv.URL, Now: wrong}),
			} {
				_, _, _, err := s.Manifest(t.Context(), "")
				var limit *RateLimitError
				var status *StatusError
				switch {
				case c.limit && (!errors.As(err, &limit) || limit.After != c.after):
					t.Errorf("%s: %v, want a limit of %s", s, err, c.after)
				case !c.limit && (!errors.As(err, &status) || status.Status != c.status):
					t.Errorf("%s: %v, want status %d", s, err, c.status)
				}
			}
		})
	}
}

func TestFileThatChangedBetweenTwoHalvesIsNoticed(t *testing.T) {
	for _, header := range []string{"ETag", "Last-Modified"} {
		t.Run(header, func(t *testing.T) { changedBetweenHalves(t, header) })
	}
}

func changedBetweenHalves(t *testing.T, header string) {
	var version atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		v := version.Load()
		modified := time.Time{}
		if header == "ETag" {
			w.Header().Set(header, fmt.Sprintf(`"%d"`, v))
		} else {
			modified = time.Unix(1_700_000_000+int64(v), 0)
		}
		http.ServeContent(w, r, "part", modified, strings.NewReader(strings.Repeat(fmt.Sprint(v), 100)))
	})
	s := parse(t, srv.URL, Options{})
	read := func(offset int64) (string, error) {
		r, _, err := s.Open(t.Context(), "v1", "part", offset)
		if err != nil {
			return "", err
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		return string(data), err
	}
	if got, err := read(0); err != nil || got != strings.Repeat("0", 100) {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := read(90); err != nil || got != strings.Repeat("0", 10) {
		t.Fatalf("%q, %v", got, err)
	}
	version.Store(1)
	_, err := read(50)
	if e := (*ChangedError)(nil); !errors.As(err, &e) {
		t.Fatalf("error %v, want a *ChangedError", err)
	}
	if got, err := read(0); err != nil || got != strings.Repeat("1", 100) {
		t.Fatalf("from the start again: %q, %v", got, err)
	}
}

func TestPartialReplyFromAnotherPlaceIsRefused(t *testing.T) {
	for _, cr := range []string{"bytes 0-99/100", "bytes 51-99/100", "", "items 50-99/100"} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", cr)
			w.WriteHeader(http.StatusPartialContent)
		})
		if _, _, err := parse(t, srv.URL, Options{}).Open(t.Context(), "v1", "part", 50); err == nil {
			t.Errorf("Content-Range %q passes for one from 50 on", cr)
		}
	}
}

func TestManifestOfUnboundedSizeIsCut(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, bundles.LatestName) {
			io.WriteString(w, "v1\n")
			return
		}
		if strings.HasSuffix(r.URL.Path, bundles.SignatureName) {
			w.Write(make([]byte, bundles.MaxSignatureSize+1))
			return
		}
		io.WriteString(w, "{}")
	})
	if _, _, _, err := parse(t, srv.URL, Options{}).Manifest(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "more than the") {
		t.Errorf("error %v", err)
	}
}

func TestHTTPSIsNotLeftForHTTP(t *testing.T) {
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("https was left for http") })
	safe := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	t.Cleanup(safe.Close)
	_, _, _, err := parse(t, safe.URL, Options{HTTPClient: safe.Client()}).Manifest(t.Context(), "")
	if e := (*url.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("error %v", err)
	}
}

func TestARedirectLoopEndsAndIsNotTriedAgain(t *testing.T) {
	asked := 0
	var srv *httptest.Server
	srv = serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, srv.URL+"/again?secret=1", http.StatusFound)
	})
	_, _, err := parse(t, srv.URL, Options{}).Open(t.Context(), "v1", "part", 0)
	var loop *httpsafe.RedirectError
	if !errors.As(err, &loop) || !loop.Permanent() || loop.Hint() == "" || loop.ExitCode() != 4 || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	if asked > 11 {
		t.Errorf("%d requests", asked)
	}
}

func TestAWebPageInPlaceOfAManifestIsNamed(t *testing.T) {
	for name, page := range map[string]string{
		"a page":              "<!DOCTYPE html><title>Hotel</title>",
		"a page after blanks": "\n  <HTML><body>404",
		"a commented page":    "<!-- v2 --><html>",
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
			_, _, _, err := parse(t, srv.URL+"/rel", Options{}).Manifest(t.Context(), "")
			var p *PageError
			if !errors.As(err, &p) || p.URL != srv.URL+"/rel/latest" || p.ExitCode() != 4 || !strings.Contains(p.Hint(), "log in") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestTheHintOfALimitNamesATokenOnlyWhereOneHelps(t *testing.T) {
	for _, c := range []struct {
		e    RateLimitError
		says string
		not  string
	}{
		{RateLimitError{GitHub: true, After: time.Hour}, "GITHUB_TOKEN", "--from"},
		{RateLimitError{GitHub: true, Token: true}, "that of the token", "60 requests"},
		{RateLimitError{After: time.Minute}, "wait 1m0s", "GITHUB_TOKEN"},
	} {
		if h := c.e.Hint(); !strings.Contains(h, c.says) || strings.Contains(h, c.not) {
			t.Errorf("%+v: %q", c.e, h)
		}
	}
}

func TestRangesOfAnAssetAskTheAPIOnce(t *testing.T) {
	data := strings.Repeat("0123456789", 100)
	var expired atomic.Bool
	asked := make(chan string, 20)
	cdn := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- "cdn"
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another host")
		}
		if expired.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(data))
	})
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/tags/v1"):
			fmt.Fprintf(w, `{"id":1,"tag_name":"v1","assets":[{"id":7,"name":"part","size":%d,"state":"uploaded"}]}`, len(data))
		default:
			asked <- "api"
			http.Redirect(w, r, cdn.URL+"/signed?secret=1", http.StatusFound)
		}
	})
	s := parse(t, "github:o/r", Options{GitHubBaseURL: api.URL, Token: secret})
	read := func(from, to int64) string {
		r, size, err := s.OpenRange(t.Context(), "v1", "part", from, to)
		must(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		must(t, err)
		if size != int64(len(data)) {
			t.Errorf("size %d", size)
		}
		return string(got)
	}
	for _, at := range []int64{0, 100, 200} {
		if got := read(at, at+100); got != data[at:at+100] {
			t.Errorf("from %d: %q", at, got)
		}
	}
	expired.Store(true)
	if got := read(300, 400); got != data[300:400] {
		t.Errorf("after its address expired: %q", got)
	}
	close(asked)
	var all []string
	for who := range asked {
		all = append(all, who)
	}
	if got := strings.Join(all, " "); got != "api cdn cdn cdn cdn api cdn" {
		t.Errorf("asked %s", got)
	}
}

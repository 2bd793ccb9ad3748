package httpsafe_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/internal/httpsafe"
)

func TestContentRange(t *testing.T) {
	for _, c := range []struct {
		in           string
		start, total int64
		ok           bool
	}{
		{"bytes 5-9/10", 5, 10, true},
		{"bytes 0-0/1", 0, 1, true},
		{"bytes 5-9/*", 5, -1, true},
		{"bytes */10", 0, 0, false},
		{"bytes 5-9/4", 0, 0, false},
		{"bytes 5-4/10", 0, 0, false},
		{"bytes 5-/10", 0, 0, false},
		{"bytes -5-9/10", 0, 0, false},
		{"bytes +5-9/10", 0, 0, false},
		{"bytes 5-+9/10", 0, 0, false},
		{"bytes 5-9/+10", 0, 0, false},
		{"items 5-9/10", 0, 0, false},
		{"bytes 99999999999999999999-1/1", 0, 0, false},
		{"", 0, 0, false},
	} {
		start, total, err := httpsafe.ContentRange(c.in)
		if (err == nil) != c.ok || start != c.start || total != c.total {
			t.Errorf("%q: %d of %d, %v", c.in, start, total, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 5-9/*", "bytes */10", "bytes -", "bytes 1-/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, total, err := httpsafe.ContentRange(s)
		if err == nil && (start < 0 || total != -1 && total < start) {
			t.Errorf("%q: %d of %d", s, start, total)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		header map[string]string
		want   time.Duration
		said   bool
	}{
		"nothing":           {nil, 0, false},
		"seconds":           {map[string]string{"Retry-After": "7"}, 7 * time.Second, true},
		"at once":           {map[string]string{"Retry-After": "0"}, 0, true},
		"below nothing":     {map[string]string{"Retry-After": "-7"}, 0, false},
		"a word":            {map[string]string{"Retry-After": "soon"}, 0, false},
		"a date":            {map[string]string{"Retry-After": "Mon, 23 Nov 2026 12:01:00 GMT"}, time.Minute, true},
		"a date gone by":    {map[string]string{"Retry-After": "Mon, 23 Nov 2026 11:59:00 GMT"}, 0, true},
		"a spent limit":     {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795435260"}, time.Minute, true},
		"spent, until when": {map[string]string{"X-RateLimit-Remaining": "0"}, 0, true},
		"a limit with room": {map[string]string{"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "1795435260"}, 0, false},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got, said := httpsafe.RetryAfter(h, now); got != c.want || said != c.said {
			t.Errorf("%s: %s, %v; want %s, %v", name, got, said, c.want, c.said)
		}
	}
}

func TestTheHostsOwnClock(t *testing.T) {
	ours := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	h := http.Header{"Date": {"Mon, 23 Nov 2026 12:00:00 GMT"}}
	if got := httpsafe.Now(h, ours); got.Year() != 2026 {
		t.Errorf("%s, though the host says %s", got, h.Get("Date"))
	}
	if got := httpsafe.Now(http.Header{"Date": {"noon"}}, ours); !got.Equal(ours) {
		t.Errorf("%s from a date that is none", got)
	}
}

func TestAnErrorShowsNoSecret(t *testing.T) {
	for in, want := range map[string]string{
		"https://user:secret@h.example/part?signature=secret#secret": "https://h.example/part",
		"https://h.example/%zz?secret":                               "an address that cannot be read",
	} {
		err := httpsafe.Redact(&url.Error{Op: "Get", URL: in, Err: errors.New("no route")})
		if s := err.Error(); strings.Contains(s, "secret") || !strings.Contains(s, want) {
			t.Errorf("%s: %s", in, s)
		}
	}
	if plain := errors.New("another"); !errors.Is(httpsafe.Redact(plain), plain) {
		t.Error("an error of another kind became another")
	}
}

// A secret goes on within its host and no further, not even back; a caller's
// client is copied.
func TestGuardKeepsSecretsAtHome(t *testing.T) {
	reached := make(chan string, 3)
	say := func(r *http.Request) { reached <- r.Header.Get("Authorization") + r.Header.Get("Cookie") }
	serve := func(f http.HandlerFunc) *httptest.Server {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s
	}
	last := serve(func(_ http.ResponseWriter, r *http.Request) { say(r) })
	var home *httptest.Server
	middle := serve(func(w http.ResponseWriter, r *http.Request) {
		say(r)
		http.Redirect(w, r, home.URL+"/again", http.StatusFound)
	})
	home = serve(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/start", http.StatusFound)
		case "/again":
			say(r)
			http.Redirect(w, r, last.URL, http.StatusFound)
		default:
			if r.Header.Get("Authorization") == "" || r.Header.Get("Cookie") == "" {
				t.Error("a redirect to the same host lost a secret")
			}
			http.Redirect(w, r, middle.URL, http.StatusFound)
		}
	})
	theirs := &http.Client{}
	for name, client := range map[string]*http.Client{"no client": nil, "a client of the caller's": theirs} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, home.URL+"/same", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret")
		req.Header.Set("Cookie", "secret=1")
		resp, err := httpsafe.Guard(client).Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Body.Close()
		for range 3 {
			if got := <-reached; got != "" {
				t.Errorf("%s: after leaving its host a request carries %q", name, got)
			}
		}
	}
	if theirs.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

// An address may be signed: net/http would tell the next host all of it.
func TestASecretInAnAddressStaysWithItsHost(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "secret") {
				t.Errorf("the other host was told %s: %q", name, values)
			}
		}
	}))
	defer other.Close()
	home := httptest.NewServer(http.RedirectHandler(other.URL+"/there", http.StatusFound))
	defer home.Close()
	resp, err := httpsafe.Guard(nil).Get(home.URL + "/model.gguf?token=secret")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

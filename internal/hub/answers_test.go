package hub_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
)

// Every refusal has its own type, words and cure.
func TestRefusalsAreToldApart(t *testing.T) {
	repos := map[string]*hubtest.Repo{
		"o/open":    {Files: map[string][]byte{"m.gguf": model(10)}},
		"o/gated":   {Gated: "auto", Files: map[string][]byte{"m.gguf": model(10)}},
		"o/private": {Private: true, Files: map[string][]byte{"m.gguf": model(10)}},
	}
	badToken := func(o *hub.Options) { o.Token, o.TokenFrom = "hf_old", "HF_TOKEN" }
	fault := func(status int, headers ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			hubtest.Fail(w, status, "", "")
			return true
		}
	}
	portal := func(status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { hubtest.Portal(w, status); return true }
	}
	for _, c := range []struct {
		name, repo, revision, file string
		change                     func(*hub.Options)
		fault                      func(http.ResponseWriter, *http.Request) bool
		what, cure                 string
		code                       int
	}{
		{name: "a repository that is not there, asked without a token", repo: "o/none", what: "there is no repository o/none at 127.0.0.1:", cure: "set HF_TOKEN", code: 6},
		{name: "a repository that is not there, asked with a token", repo: "o/none", change: withToken, what: "or the account of your token may not see it", cure: "token from HF_TOKEN", code: 6},
		{name: "a private repository without a token", repo: "o/private", what: "or it is private", cure: "set HF_TOKEN", code: 6},
		{name: "a gated repository without a token", repo: "o/gated", what: "o/gated is gated", cure: "/o/gated and accept its conditions, then set HF_TOKEN", code: 4},
		{name: "a gated repository with a token that was not granted", repo: "o/gated", change: withToken, what: "has not been given access", cure: "/o/gated with the account", code: 4},
		{name: "a token that is none", repo: "o/open", change: badToken, what: "does not accept the token from HF_TOKEN", cure: "unset HF_TOKEN", code: 4},
		{name: "a revision that is not there", repo: "o/open", revision: "v9", what: "o/open has no revision v9", cure: "/o/open/commits/main", code: 6},
		{name: "a file that is not there", repo: "o/open", file: "n.gguf", what: "o/open has no file n.gguf", cure: "/o/open/tree/main", code: 6},
		{name: "too many requests, with the seconds", repo: "o/open", fault: fault(429, "Retry-After", "90"), what: "for another 1m30s", cure: "HF_TOKEN", code: 4},
		{name: "too many requests, as the hub says it", repo: "o/open", fault: fault(429, "RateLimit", `"resolvers";r=0;t=55`), what: "for another 55s", cure: "wait 55s", code: 4},
		{name: "too many requests of an account", repo: "o/open", change: withToken, fault: fault(429), what: "HTTP 429", cure: "wait a few minutes and run", code: 4},
		{name: "a hub in trouble", repo: "o/open", fault: fault(502), what: "has a problem (HTTP 502)", cure: "--offline", code: 4},
		{name: "a network that asks for a login", repo: "o/open", fault: portal(200), what: "answered with a web page, not as the hub does", cure: "HF_ENDPOINT", code: 4},
		{name: "a proxy that forbids", repo: "o/open", fault: portal(403), what: "web page (HTTP 403)", cure: "login page", code: 4},
		{name: "a refusal without a reason", repo: "o/open", change: withToken, fault: fault(403, "X-Request-Id", "1"), what: "refuses o/open:m.gguf (HTTP 403)", cure: "HF_TOKEN", code: 4},
		{name: "a server that is no hub", repo: "o/open", fault: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(200); return true },
			what: "no commit (X-Repo-Commit)", cure: "HF_ENDPOINT", code: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hubtest.New(t)
			h.Repos, h.Fault = repos, c.fault
			if c.revision == "" {
				c.revision = hub.Main
			}
			if c.file == "" {
				c.file = "m.gguf"
			}
			if c.change == nil {
				c.change = func(*hub.Options) {}
			}
			f, err := client(t, h, c.change).Stat(t.Context(), c.repo, c.revision, c.file)
			if err == nil {
				t.Fatalf("got %+v", f)
			}
			told := tell(t, err)
			if !strings.Contains(err.Error(), c.what) || !strings.Contains(told.Hint(), c.cure) || told.ExitCode() != c.code {
				t.Errorf("says %q, hints %q, exit %d", err, told.Hint(), told.ExitCode())
			}
			if strings.Contains(err.Error()+told.Hint(), hubtest.Token) || strings.Contains(err.Error()+told.Hint(), "hf_old") {
				t.Error("the token is shown")
			}
		})
	}
}

type teller interface {
	error
	Hint() string
	ExitCode() int
}

func tell(t *testing.T, err error) teller {
	t.Helper()
	var told teller
	if !errors.As(err, &told) {
		t.Fatalf("%v has no hint", err)
	}
	return told
}

func TestAWebPageInPlaceOfJSONIsNamed(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"as HTML": func(w http.ResponseWriter) { hubtest.Portal(w, http.StatusOK) },
		"that says JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("<html>"))
		},
		"that is cut off":  func(w http.ResponseWriter) { _, _ = w.Write([]byte(`[{"type":"file"`)) },
		"of another shape": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"error":"no"}`)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.New(t)
			h.Fault = func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true }
			_, err := client(t, h).Tree(t.Context(), "o/r", hub.Main)
			var not *hub.NotHubError
			if !errors.As(err, &not) || not.ExitCode() != 4 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAHubThatIsBusyIsAskedAgain(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": model(10)}}
	n := 0
	h.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		n++
		if n < 3 {
			hubtest.Fail(w, http.StatusServiceUnavailable, "", "")
		}
		return n < 3
	}
	if _, err := client(t, h).Stat(t.Context(), "o/r", hub.Main, "m.gguf"); err != nil {
		t.Error(err)
	}
	n = -10
	_, err := client(t, h).Stat(t.Context(), "o/r", hub.Main, "m.gguf")
	var busy *hub.BusyError
	if !errors.As(err, &busy) || n != -7 {
		t.Errorf("after %d attempts: %v", n+10, err)
	}
}

func TestANetworkThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	c, err := hub.New(hub.Options{Env: hub.Env{Endpoint: "http://" + l.Addr().String(), CacheDir: t.TempDir()}, Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Stat(t.Context(), "o/r", hub.Main, "m.gguf")
	var unreachable *hub.UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "refused") || !strings.Contains(unreachable.Hint(), "--offline") {
		t.Errorf("got %v", err)
	}
}

func TestAHubThatDoesNotAnswerIsGivenUp(t *testing.T) {
	h := hubtest.New(t)
	h.Fault = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	c := client(t, h, func(o *hub.Options) { o.Timeout = 20 * time.Millisecond })
	_, err := c.Stat(t.Context(), "o/r", hub.Main, "m.gguf")
	var unreachable *hub.UnreachableError
	if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "no answer came in time") {
		t.Errorf("got %v", err)
	}
}

func TestOfflineNothingIsAsked(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": model(10)}}
	c := client(t, h, func(o *hub.Options) { o.Offline = true })
	for name, err := range map[string]error{
		"Stat":   second(c.Stat(t.Context(), "o/r", hub.Main, "m.gguf")),
		"Tree":   second(c.Tree(t.Context(), "o/r", hub.Main)),
		"Info":   second(c.Info(t.Context(), "o/r")),
		"Prefix": second(c.Prefix(t.Context(), hub.File{Repo: "o/r", Commit: hubtest.Commit, Path: "m.gguf"}, 4)),
		"Fetch": second(c.Fetch(t.Context(), hub.File{Repo: "o/r", Commit: hubtest.Commit, Path: "m.gguf", Size: 10,
			SHA256: hubtest.Sum(model(10))}, hub.FetchOptions{})),
	} {
		var offline *hub.OfflineError
		if !errors.As(err, &offline) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(h.Requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

func TestWhatARepositorySaysOfItself(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Gated: "manual", Licence: "gemma"}
	info, err := client(t, h).Info(t.Context(), "o/r")
	if err != nil || info != (hub.Info{Commit: hubtest.Commit, Gated: "manual", Licence: "gemma"}) {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestTheAnonymousClientSendsNoToken(t *testing.T) {
	h := hubtest.New(t)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": model(10)}}
	if _, err := client(t, h, withToken).Anonymous().Stat(t.Context(), "o/r", hub.Main, "m.gguf"); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.Requests() {
		if r.Auth != "" {
			t.Errorf("sent %q", r.Auth)
		}
	}
}

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/fetch"
	"github.com/waqasm86/llcuda/internal/release"
)

// Variables with which scripts/soak.sh asks for more of the same.
const (
	roundsEnv = "LLCUDA_FAULT_ROUNDS" // how often each fault is made; 1
	killsEnv  = "LLCUDA_FAULT_KILLS"  // how many installs are killed; 24
	tableEnv  = "LLCUDA_FAULT_TABLE"  // a file to append the counts to
)

func fromEnv(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// count appends a line to the table of docs/reliability.md, where one is asked for.
func count(t *testing.T, fault string, runs int, what string) {
	t.Helper()
	path := os.Getenv(tableEnv)
	if path == "" || t.Failed() {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintf(f, "| %s | %d | %s |\n", fault, runs, what)
}

// fault is something that goes wrong during an install, and what comes of it.
type fault struct {
	name string
	// web is what the server does with request number n (from 1) for the app
	// part; false = the right answer. Other files are always right.
	web func(m *mirror, n int, w http.ResponseWriter, r *http.Request) bool
	// machine changes what the installer is.
	machine func(in *InstallInput)
	// child, where it is set, makes the installer a process of its own.
	child func(in *childInput)
	// fails is in the error; "" = the install succeeds in spite of the fault.
	fails string
	// cure is in the hint.
	cure string
}

// faults is the table: what may go wrong, and what must come of it. After each,
// nothing may be half there, and without the fault the same store must get whole.
func faults() []fault {
	once := func(f func(m *mirror, w http.ResponseWriter, r *http.Request)) func(*mirror, int, http.ResponseWriter, *http.Request) bool {
		return func(m *mirror, n int, w http.ResponseWriter, r *http.Request) bool {
			if n == 1 {
				f(m, w, r)
			}
			return n == 1
		}
	}
	always := func(f func(m *mirror, w http.ResponseWriter, r *http.Request)) func(*mirror, int, http.ResponseWriter, *http.Request) bool {
		return func(m *mirror, _ int, w http.ResponseWriter, r *http.Request) bool {
			f(m, w, r)
			return true
		}
	}
	status := func(code int, header ...string) func(*mirror, http.ResponseWriter, *http.Request) {
		return func(_ *mirror, w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			http.Error(w, "not the file", code)
		}
	}
	flipped := func(m *mirror, w http.ResponseWriter, r *http.Request) {
		b := slices.Clone(m.app)
		b[len(b)/3] ^= 4
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
	page := func(_ *mirror, w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<!DOCTYPE html><html><title>404</title>")
	}
	// changing cuts each reply in the middle and gives each its own ETag.
	changing := func(times int) func(*mirror, int, http.ResponseWriter, *http.Request) bool {
		return func(m *mirror, n int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, min(n, times+1)))
			if n > times {
				return false
			}
			m.cut(w, r, len(m.app)/2)
			return true
		}
	}
	var all []fault
	for tenth := 1; tenth <= 9; tenth++ {
		all = append(all, fault{name: fmt.Sprintf("cut at %d%% of the file", 10*tenth), web: once(func(m *mirror, w http.ResponseWriter, r *http.Request) {
			m.cut(w, r, len(m.app)*tenth/10)
		})})
	}
	return append(all, []fault{
		{name: "cut at every tenth in one install", web: func(m *mirror, n int, w http.ResponseWriter, r *http.Request) bool {
			m.cut(w, r, len(m.app)*min(n, 10)/10)
			return true
		}},
		{name: "cut at each start, for ever", web: always(func(m *mirror, w http.ResponseWriter, r *http.Request) { m.cut(w, r, 0) }),
			fails: "EOF", cure: "check the network"},
		{name: "cut in the middle, for ever", web: always(func(m *mirror, w http.ResponseWriter, r *http.Request) { m.cut(w, r, len(m.app)/2) }),
			fails: "stopped at ", cure: "goes on where it stopped"},
		{name: "a stall before the first byte", web: once(func(_ *mirror, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })},
		{name: "a stall in the middle", web: once(func(m *mirror, w http.ResponseWriter, r *http.Request) {
			m.begin(w, r, len(m.app)/2)
			<-r.Context().Done()
		})},
		{name: "a flipped byte, once", web: once(flipped)},
		{name: "a flipped byte, always", web: always(flipped), fails: "is not what was published", cure: "nothing of it was used"},
		{name: "a byte too many", web: always(func(m *mirror, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(slices.Clone(m.app), 'x')))
		}), fails: "is not what was published", cure: "nothing of it was used"},
		{name: "a byte too few", web: always(func(m *mirror, w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(m.app[1:]))
		}), fails: "is not what was published", cure: "nothing of it was used"},
		{name: "a file that changes between two ranges, once", web: changing(1)},
		{name: "a file that changes between ranges, always", web: changing(1000), fails: "changed on the server", cure: "somebody is replacing it"},
		{name: "a 404 page with status 200", web: always(page), fails: "a web page in its place", cure: "log in to this network"},
		{name: "404", web: always(status(404)), fails: "not found", cure: "check the release source"},
		{name: "403", web: always(status(403)), fails: "HTTP status 403", cure: "wants a login"},
		{name: "403 of a spent limit, once", web: once(status(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1"))},
		{name: "403 of a limit that lasts an hour", web: always(status(403, "Retry-After", "3600")), fails: "limits requests", cure: "wait 1h0m0s"},
		{name: "429, once", web: once(status(429))},
		{name: "429 for an hour", web: always(status(429, "Retry-After", "3600")), fails: "limits requests", cure: "wait 1h0m0s"},
		{name: "502, once", web: once(status(502))},
		{name: "502, always", web: always(status(502)), fails: "HTTP status 502", cure: "again later"},
		{name: "a redirect to another host", web: func(m *mirror, _ int, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, m.other.URL+"/part?signature=secret", http.StatusFound)
			return true
		}},
		{name: "a redirect loop", web: always(func(_ *mirror, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?again=secret", http.StatusFound)
		}), fails: "more than 10 redirects", cure: "in a browser"},
		{name: "a server that is gone", web: always(func(m *mirror, w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				c.Close()
			}
		}), fails: "EOF", cure: "check the network"},
		{name: "a full disk, seen before the download", machine: func(in *InstallInput) {
			in.Fetch.FreeSpace = func(string) (uint64, error) { return 1000, nil }
		}, fails: "needs ", cure: "free some space"},
		{name: "a full disk in the middle of the download (RLIMIT_FSIZE)", child: func(in *childInput) { in.FileLimit = 70_000 },
			fails: "file too large", cure: "raise the limit"},
		{name: "a full disk while unpacking (RLIMIT_FSIZE)", child: func(in *childInput) { in.FileLimit = 300_000 },
			fails: "file too large", cure: "raise the limit"},
		{name: "a folder that may not be written", child: func(in *childInput) { in.UID = 65534 },
			fails: "permission denied", cure: "LLCUDA_HOME"},
		{name: "a clock that stands in 1970", machine: func(in *InstallInput) { in.Now = func() time.Time { return time.Unix(0, 0) } }},
		{name: "a clock that is in 2099, and a server that names a time of day", machine: func(in *InstallInput) {
			in.Now = func() time.Time { return time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, web: once(status(429, "Date", "Mon, 02 Jan 2006 15:04:05 GMT", "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"))},
	}...)
}

// mirror is a release behind the real release source, that can be spoiled.
type mirror struct {
	*testRelease
	app   []byte
	src   release.Source
	web   *httptest.Server
	other *httptest.Server

	mu    sync.Mutex
	fault func(m *mirror, n int, w http.ResponseWriter, r *http.Request) bool
	n     int
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{testRelease: newRelease(t)}
	m.app = m.files["app1.tar.zst"]
	m.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" {
			t.Error("a secret went to another host")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(m.app))
	}))
	t.Cleanup(m.other.Close)
	m.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/v1")
		if r.URL.Path == "/app1.tar.zst" {
			m.mu.Lock()
			m.n++
			n, fault := m.n, m.fault
			m.mu.Unlock()
			if fault != nil && fault(m, n, w, r) {
				return
			}
		}
		m.answer(w, r)
	}))
	m.web.Start()
	t.Cleanup(m.web.Close)
	var err error
	if m.src, err = release.Parse(m.web.URL, release.Options{Token: "secret"}); err != nil {
		t.Fatal(err)
	}
	return m
}

// spoil makes the server do what f says from the next request on.
func (m *mirror) spoil(f func(m *mirror, n int, w http.ResponseWriter, r *http.Request) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault, m.n = f, 0
}

// begin sends the header of all that is asked for, and bytes up to upTo.
func (m *mirror) begin(w http.ResponseWriter, r *http.Request, upTo int) {
	from := 0
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	w.Header().Set("Content-Length", fmt.Sprint(len(m.app)-from))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(m.app)-1, len(m.app)))
		w.WriteHeader(http.StatusPartialContent)
	}
	if upTo > from {
		w.Write(m.app[from:upTo])
	}
	w.(http.Flusher).Flush()
}

// cut sends up to upTo bytes and closes the connection.
func (m *mirror) cut(w http.ResponseWriter, r *http.Request, upTo int) {
	m.begin(w, r, upTo)
	panic(http.ErrAbortHandler)
}

func (m *mirror) input() InstallInput {
	in := m.testRelease.input()
	in.OpenPart = func(ctx context.Context, p bundles.Part, offset int64) (io.ReadCloser, int64, error) {
		return m.src.Open(ctx, "v1", p.Name, offset)
	}
	in.OpenRange = func(ctx context.Context, p bundles.Part, from, to int64) (io.ReadCloser, int64, error) {
		return m.src.OpenRange(ctx, "v1", p.Name, from, to)
	}
	in.Fetch = fetch.Options{Backoff: time.Millisecond, Retries: 3, Stall: 500 * time.Millisecond}
	return in
}

func TestFaults(t *testing.T) {
	t.Parallel()
	rounds := fromEnv(roundsEnv, 1)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for range rounds {
				m, s := newMirror(t), newStore(t)
				m.spoil(f.web)
				said, hint := m.attempt(t, s, f)
				if f.fails == "" && said != "" || !strings.Contains(said, f.fails) || !strings.Contains(hint, f.cure) || strings.Contains(said+hint, "secret") {
					t.Fatalf("said %q\nhint %q\nwant %q, %q", said, hint, f.fails, f.cure)
				}
				if said == "" {
					wantCounted(t, s, 1)
				} else {
					wantCounted(t, s, 0)
				}
				m.spoil(nil)
				in := m.input()
				wantTree(t, install(t, s, in).Dir, merged(1))
				if _, err := s.GC(t.Context(), false); err != nil {
					t.Fatal(err)
				}
				wantNames(t, s, oneInstalled...)
			}
			what := "installed all the same"
			if f.fails != "" {
				what = fmt.Sprintf("refused (“%s”), whole at the next try", strings.TrimSpace(f.fails))
			}
			count(t, f.name, rounds, what)
		})
	}
}

// attempt installs with the fault, here or in a child, and gives the error's
// words and hint.
func (m *mirror) attempt(t *testing.T, s *Store, f fault) (said, hint string) {
	t.Helper()
	if f.child == nil {
		in := m.input()
		if f.machine != nil {
			f.machine(&in)
		}
		_, err := s.Install(t.Context(), in)
		if err == nil {
			return "", ""
		}
		var h interface{ Hint() string }
		if errors.As(err, &h) {
			hint = h.Hint()
		}
		return err.Error(), hint
	}
	in := m.childInput(s)
	f.child(&in)
	if in.UID != 0 && os.Geteuid() != 0 { // nobody else to become: take the right away instead
		if err := os.MkdirAll(s.dir, 0o555); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(s.dir, 0o755)
	}
	out, err := childCommand(t, in).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	said, hint, _ = strings.Cut(string(out), "hint: ")
	if err == nil {
		return "", ""
	}
	return said, hint
}

// wantCounted checks that n bundles count as installed, and that what counts is
// whole to the last byte.
func wantCounted(t *testing.T, s *Store, n int) {
	t.Helper()
	list, err := s.List()
	if err != nil && n > 0 || len(list) != n {
		t.Fatalf("%d bundles, %v, want %d", len(list), err, n)
	}
	for _, b := range list {
		if err := s.Verify(t.Context(), b, true); err != nil {
			t.Error(err)
		}
	}
}

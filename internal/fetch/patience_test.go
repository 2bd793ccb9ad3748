package fetch

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStatuses(t *testing.T) {
	cases := []struct {
		name     string
		status   int
		times    int
		after    string
		ok       bool
		requests int
	}{
		{"503 once, then fine", 503, 1, "", true, 2},
		{"429 with a time in the past, then fine", 429, 1, "Mon, 02 Jan 2006 15:04:05 GMT", true, 2},
		{"500 for ever: the first try and three more", 500, 99, "", false, 4},
		{"404 is final", 404, 99, "", false, 1},
		{"403 is final", 403, 99, "", false, 1},
		{"429 without a time, then fine", 429, 2, "", true, 3},
		{"502 of a gateway, then fine", 502, 2, "", true, 3},
		{"a Retry-After of an hour is told, not waited for", 503, 99, "3600", false, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, randomBytes(1_000))
			s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > c.times {
					return false
				}
				if c.after != "" {
					w.Header().Set("Retry-After", c.after)
				}
				http.Error(w, strings.Repeat("this is not the file ", 100), c.status)
				return true
			}
			o := s.options(t)
			_, err := File(t.Context(), o)
			if s.count() != c.requests {
				t.Errorf("%d requests, want %d", s.count(), c.requests)
			}
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				wantDone(t, o.Dest, s.data)
				return
			}
			var status *StatusError
			if !errors.As(err, &status) || status.Code != c.status || status.Hint() == "" {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the query is shown: %v", err)
			}
			wantFiles(t, filepath.Dir(o.Dest), "part.tar.zst.unverified")
		})
	}
}

func TestATimeThatTheServerNamesIsHonoured(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"429 with Retry-After": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		},
		"403 of a spent limit, by the server's clock": func(w http.ResponseWriter) {
			w.Header().Set("Date", time.Unix(1_000_000, 0).UTC().Format(http.TimeFormat))
			w.Header().Set("X-RateLimit-Remaining", "0")
			w.Header().Set("X-RateLimit-Reset", "1000060")
			w.WriteHeader(403)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, randomBytes(1_000))
			s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
				answer(w)
				return true
			}
			o := s.options(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("seen")
			o.Retrying = func(err error, pause time.Duration) {
				if pause < time.Second || pause > 2*time.Minute || !strings.Contains(cureOf(err), "limits requests") {
					t.Errorf("pause %s after %v: %s", pause, err, cureOf(err))
				}
				cancel(stop) // no need to wait it out
			}
			if _, err := File(ctx, o); !errors.Is(err, stop) {
				t.Fatal(err)
			}
		})
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	s := serve(t, randomBytes(10))
	s.Close()
	_, err := File(t.Context(), s.options(t))
	var u *UnfinishedError
	if !errors.As(err, &u) || !strings.Contains(u.Hint(), "network") || strings.Contains(err.Error(), "secret") {
		t.Fatalf("got %v", err)
	}
}

func TestAnInterruptKeepsWhatCame(t *testing.T) {
	s := serve(t, randomBytes(80_000))
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			return false
		}
		s.sendPart(w, r, 30_000)
		<-r.Context().Done()
		return true
	}
	o := s.options(t)
	o.Progress = func(done, _ int64) {
		if done == 30_000 {
			cancel(interrupted)
		}
	}
	if _, err := File(ctx, o); !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	o.Progress = nil
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if got := s.ranges[1]; got != "bytes=30000-" {
		t.Errorf("asked for %q", got)
	}
}

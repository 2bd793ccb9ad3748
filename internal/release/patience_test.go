package release

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stalling begins to answer paths that end in one of ends, and sends no more
// until the reader is gone.
func stalling(t *testing.T, next http.HandlerFunc, ends string) string {
	t.Helper()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ends) {
			next(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return s.URL
}

func TestHostThatStopsInAManifestIsNotWaitedForForEver(t *testing.T) {
	quick := Options{Stall: 50 * time.Millisecond}
	missing := http.NotFound
	latest := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "v1") }
	release := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":1,"tag_name":"v1","assets":[{"id":7,"name":"manifest.json","size":100,"state":"uploaded"}]}`)
	}
	for name, c := range map[string]struct {
		spec string
		next http.HandlerFunc
		ends string
		api  bool
	}{
		"a mirror, in what is latest":     {"", missing, "/latest", false},
		"a mirror, in the manifest":       {"", latest, "/manifest.json", false},
		"GitHub, in the list of releases": {"github:o/r", missing, "/latest", true},
		"GitHub, in the manifest's asset": {"github:o/r", release, "/assets/7", true},
	} {
		t.Run(name, func(t *testing.T) {
			o, spec := quick, c.spec
			url := stalling(t, c.next, c.ends)
			if o.GitHubBaseURL = url; !c.api {
				spec = url
			}
			_, _, _, err := parse(t, spec, o).Manifest(t.Context(), "")
			var stalled *StallError
			if !errors.As(err, &stalled) || stalled.ExitCode() != 4 || stalled.Hint() == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnswerOfTheAPIIsBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"tag_name":"`)
		for line := strings.Repeat("x", 1<<20); r.Context().Err() == nil; {
			if _, err := fmt.Fprint(w, line); err != nil {
				return
			}
		}
	})
	_, _, _, err := parse(t, "github:o/r", Options{GitHubBaseURL: s.URL}).Manifest(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
}

func TestErrorsShowNoSignedAddress(t *testing.T) {
	gone := serve(t, http.NotFound)
	at := gone.URL
	gone.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, at+"/object?X-Amz-Signature=deadbeef", http.StatusFound)
	})
	_, _, err := parse(t, s.URL, Options{}).Open(t.Context(), "v1", "part.tar.zst", 0)
	if err == nil || strings.Contains(err.Error(), "deadbeef") || !strings.Contains(err.Error(), at) {
		t.Errorf("%v", err)
	}
}

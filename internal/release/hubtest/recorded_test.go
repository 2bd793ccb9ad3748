package hubtest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorded is one exchange of recorded-release-assets.json.
type recorded struct {
	Method, Path string
	Status       int
	Response     any
}

// TestFakeAnswersAsGitHubDid replays what octokit's authors recorded of GitHub: an
// upload of a name that is taken, the list, the removal, and the upload again.
func TestFakeAnswersAsGitHubDid(t *testing.T) {
	data, err := os.ReadFile("recorded-release-assets.json")
	must(t, err)
	var exchanges []recorded
	must(t, json.Unmarshal(data, &exchanges))
	f := New(t)
	rel := f.Add("v1.0.0", "", false)
	old := f.AddAsset(rel, "test-upload.txt", []byte("Hello, world!\n"))
	if len(exchanges) != 5 {
		t.Fatalf("%d exchanges", len(exchanges))
	}
	for _, x := range exchanges {
		_, rest, ok := strings.Cut(x.Path, "/releases/")
		if !ok {
			t.Fatalf("path %q", x.Path)
		}
		rest = strings.Replace(rest, "assets/1000", "assets/"+itoa(old.ID), 1)
		rest = strings.Replace(rest, "1000/assets", itoa(rel.ID)+"/assets", 1)
		var body io.Reader
		if x.Method == "POST" {
			body = strings.NewReader("Hello, world!\n")
		}
		req, err := http.NewRequest(x.Method, f.URL()+"/repos/owner/repo/releases/"+rest, body)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+Token)
		if body != nil {
			req.Header.Set("Content-Type", "application/octet-stream")
		}
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		must(t, err)
		if resp.StatusCode != x.Status {
			t.Fatalf("%s %s: status %d, GitHub's was %d: %s", x.Method, rest, resp.StatusCode, x.Status, got)
		}
		if len(got) == 0 {
			continue
		}
		var reply any
		must(t, json.Unmarshal(got, &reply))
		for _, lost := range lacking(x.Response, reply, "") {
			t.Errorf("%s %s: the fake's reply lacks %s, which GitHub's had", x.Method, rest, lost)
		}
		if x.Status == 422 {
			was, is := x.Response.(map[string]any), reply.(map[string]any)
			a, _ := json.Marshal(was["errors"])
			b, _ := json.Marshal(is["errors"])
			if !bytes.Equal(a, b) || was["message"] != is["message"] {
				t.Errorf("refused with %s, GitHub with %s", got, a)
			}
		}
	}
}

// lacking are the fields of one JSON value that another does not have.
func lacking(want, have any, at string) (lost []string) {
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(w)) {
			if _, ok := h[k]; !ok {
				lost = append(lost, at+"."+k)
				continue
			}
			lost = append(lost, lacking(w[k], h[k], at+"."+k)...)
		}
	case []any:
		h, _ := have.([]any)
		if len(w) > 0 && len(h) == 0 {
			return []string{at + "[]"}
		}
		if len(w) > 0 {
			lost = lacking(w[0], h[0], at+"[]")
		}
	}
	return lost
}

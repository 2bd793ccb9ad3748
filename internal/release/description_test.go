package release

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

const descriptionFile = "testdata/github-openapi.json"

// description is what GitHub says of its own API, see testdata/README.md. Its
// schema knows the states "uploaded" and "open" of an asset; that a failed upload
// leaves "starter" stands in its prose ("Upload a release asset") only.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	data, err := os.ReadFile(descriptionFile)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err == nil {
		state := doc.Components.Schemas["release-asset"].Value.Properties["state"].Value
		state.Enum = append(state.Enum, "starter")
	}
	return doc, err
})

// operation is one request to the fake, by the description's name for it.
type operation struct {
	path   string
	params map[string]string
}

// judge holds a request and the reply to it against GitHub's description.
func judge(t testing.TB, op operation, r *http.Request, body []byte, status int, header http.Header, reply []byte) {
	t.Helper()
	doc, err := description()
	must(t, err)
	item := doc.Paths.Value(op.path)
	if item == nil || item.GetOperation(r.Method) == nil {
		t.Errorf("GitHub describes no %s %s", r.Method, op.path)
		return
	}
	req := r.Clone(t.Context())
	req.Body = io.NopCloser(bytes.NewReader(body))
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: op.params, QueryParams: req.URL.Query(),
		Route:   &routers.Route{Spec: doc, Path: op.path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)},
		Options: &openapi3filter.Options{ExcludeRequestBody: strings.HasSuffix(op.path, "/assets")},
	}
	// The fault, without the schema and the whole reply.
	in.Options.WithCustomSchemaErrorFunc(func(e *openapi3.SchemaError) string {
		return strings.Join(e.JSONPointer(), "/") + ": " + e.Reason
	})
	if status < 300 { // what GitHub refuses may be malformed
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s: GitHub would not understand: %v", r.Method, r.URL, err)
		}
	}
	if status >= 500 || header.Get("Content-Type") == "" || strings.Contains(r.Header.Get("Accept"), "sha") || r.Header.Get("Accept") == "application/octet-stream" {
		return // not described, or no JSON
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header, Options: in.Options}
	out.SetBodyBytes(reply)
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s: the fake's reply is none of GitHub's: %v", r.Method, r.URL, err)
	}
}

// example is a copy of a reply that GitHub's description has as an example.
func example(t testing.TB, name string) map[string]any {
	doc, err := description()
	must(t, err)
	text, err := json.Marshal(doc.Components.Examples[name].Value.Value)
	must(t, err)
	var v map[string]any
	must(t, json.Unmarshal(text, &v))
	return v
}

// recorded is one exchange of testdata/recorded-release-assets.json.
type recorded struct {
	Method, Path string
	Status       int
	Response     any
}

// TestFakeAnswersAsGitHubDid replays what octokit's authors recorded of GitHub: an
// upload of a name that is taken, the list, the removal, and the upload again.
func TestFakeAnswersAsGitHubDid(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded-release-assets.json")
	must(t, err)
	var exchanges []recorded
	must(t, json.Unmarshal(data, &exchanges))
	f := newFakeHub(t)
	rel := f.addRelease("v1.0.0", "", false)
	old := f.addAsset(rel, "test-upload.txt", []byte("Hello, world!\n"))
	if len(exchanges) != 5 {
		t.Fatalf("%d exchanges", len(exchanges))
	}
	for _, x := range exchanges {
		_, rest, ok := strings.Cut(x.Path, "/releases/")
		if !ok {
			t.Fatalf("path %q", x.Path)
		}
		rest = strings.Replace(rest, "assets/1000", "assets/"+itoa(old.id), 1)
		rest = strings.Replace(rest, "1000/assets", itoa(rel.id)+"/assets", 1)
		var body io.Reader
		if x.Method == "POST" {
			body = strings.NewReader("Hello, world!\n")
		}
		req, err := http.NewRequest(x.Method, f.srv.URL+"/repos/owner/repo/releases/"+rest, body)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+secret)
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

func queryOf(r *http.Request, key string) string {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ""
	}
	return v.Get(key)
}

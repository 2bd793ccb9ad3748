package hubtest

import (
	"bytes"
	_ "embed"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

//go:embed github-openapi.json
var descriptionJSON []byte

// description is what GitHub says of its own API, see README.md. Its
// schema knows the states "uploaded" and "open" of an asset; that a failed upload
// leaves "starter" stands in its prose ("Upload a release asset") only.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(descriptionJSON)
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
	if err != nil {
		t.Errorf("GitHub's description: %v", err)
		return
	}
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

// example is a reply that GitHub's description has as an example; its top level is
// the caller's to change.
func example(t testing.TB, name string) map[string]any {
	doc, err := description()
	if err != nil {
		t.Errorf("GitHub's description: %v", err)
		return map[string]any{}
	}
	v, _ := doc.Components.Examples[name].Value.Value.(map[string]any)
	return maps.Clone(v)
}

func queryOf(r *http.Request, key string) string {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ""
	}
	return v.Get(key)
}

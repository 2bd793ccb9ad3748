package hub

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestComeBack(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, key, value string
		want             time.Duration
	}{
		{"seconds", "Retry-After", "120", 2 * time.Minute},
		{"a date", "Retry-After", "Thu, 26 Nov 2026 12:00:30 GMT", 30 * time.Second},
		{"a date that is past", "Retry-After", "Thu, 26 Nov 2026 11:00:00 GMT", 0},
		{"nonsense", "Retry-After", "soon", 0},
		{"a negative number", "Retry-After", "-5", 0},
		{"the hub's own header", "RateLimit", `"api";r=0;t=55`, 55 * time.Second},
		{"the hub's own header while requests remain", "RateLimit", `"api";r=12;t=55`, 0},
		{"the hub's own header without a rest", "RateLimit", `"api"`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := comeBack(http.Header{http.CanonicalHeaderKey(c.key): {c.value}}, now); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for _, etag := range []string{sum, `"` + sum + `"`, `W/"` + sum + `"`, `"` + strings.ToUpper(sum) + `"`} {
		if got, ok := digest(etag); !ok || got != sum {
			t.Errorf("%s gave %q", etag, got)
		}
	}
	for _, etag := range []string{"", `"` + strings.Repeat("a", 40) + `"`, sum + "0", strings.Repeat("g", 64), "../" + sum[3:]} {
		if got, ok := digest(etag); ok {
			t.Errorf("%s gave %q", etag, got)
		}
	}
}

func TestNextPage(t *testing.T) {
	for link, want := range map[string]string{
		`<https://huggingface.co/api/models/o/r/tree/main?cursor=a%3D>; rel="next"`:                                   "/api/models/o/r/tree/main?cursor=a%3D",
		`<https://x/>; rel="prev", <https://evil.example/api/models/o/r/tree/main?cursor=b>; rel="next"`:              "/api/models/o/r/tree/main?cursor=b",
		`<https://mirror.example/hf/api/models/o/r/tree/refs%2Fpr%2F1?cursor=c&recursive=true>; type="x"; rel="next"`: "/api/models/o/r/tree/refs%2Fpr%2F1?cursor=c&recursive=true",
		`<https://evil.example/login>; rel="next"`:                                                                    "",
		`<https://huggingface.co/api/models/o/r>`:                                                                     "",
		"": "",
	} {
		if got, more := nextPage(link); got != want || more != (want != "") {
			t.Errorf("%s gave %q", link, got)
		}
	}
}

// A listing comes from a server that may be anybody: nothing in it becomes a
// path outside, a digest that is none, or a panic.
func FuzzListing(f *testing.F) {
	f.Add([]byte(`[{"type":"file","path":"a/m.gguf","size":3,"oid":"x","lfs":{"oid":"`+strings.Repeat("ab", 32)+`","size":9}}]`), "")
	f.Add([]byte(`[{"type":"file","path":"../m.gguf","size":-1},{"type":"directory","path":"a"}]`), `<https://h/api/models/o/r/tree/main?cursor=1>; rel="next"`)
	f.Add([]byte(`[{"type":"file","path":"a\\b","lfs":{"oid":"sha256:x"}}]`), `<:>; rel="next"`)
	f.Add([]byte(`<!DOCTYPE html>`), `;,<`)
	c, err := New(Options{Env: Env{Endpoint: DefaultEndpoint}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, link string) {
		resp := &http.Response{Header: http.Header{"Link": {link}, "Retry-After": {link}, "Ratelimit": {link}}, Body: io.NopCloser(bytes.NewReader(data))}
		list, err := c.entries(resp)
		if err != nil && list != nil {
			t.Fatal("a list and an error")
		}
		for _, e := range list {
			if !isInside(e.Path) || strings.Contains("/"+e.Path+"/", "/../") {
				t.Fatalf("%q leads outside", e.Path)
			}
			if e.SHA256 != "" && !isHex(e.SHA256, 64) {
				t.Fatalf("%q is no digest", e.SHA256)
			}
		}
		if next, more := nextPage(link); more && !strings.HasPrefix(next, "/api/models/") {
			t.Fatalf("the next page is %q", next)
		}
		if d := comeBack(resp.Header, time.Unix(1e9, 0)); d < 0 {
			t.Fatalf("come back in %s", d)
		}
	})
}

package models_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/models"
)

func TestParseSpec(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      models.Spec
	}{
		{"an absolute path", "/m/a.gguf", models.Spec{Kind: models.KindPath, Path: "/m/a.gguf"}},
		{"a path without an ending", "/m/a", models.Spec{Kind: models.KindPath, Path: "/m/a"}},
		{"a relative path", "./a", models.Spec{Kind: models.KindPath, Path: "./a"}},
		{"a path upwards", "../a/b", models.Spec{Kind: models.KindPath, Path: "../a/b"}},
		{"a quoted home path", "~/a.gguf", models.Spec{Kind: models.KindPath, Path: "~/a.gguf"}},
		{"a bare file name", "a.gguf", models.Spec{Kind: models.KindPath, Path: "a.gguf"}},
		{"a bare file name in capitals", "A.GGUF", models.Spec{Kind: models.KindPath, Path: "A.GGUF"}},
		{"a file in a folder is no repository", "models/a.gguf", models.Spec{Kind: models.KindPath, Path: "models/a.gguf"}},
		{"a file deep in folders", "a/b/c.gguf", models.Spec{Kind: models.KindPath, Path: "a/b/c.gguf"}},
		{"folders without an ending", "a/b/c", models.Spec{Kind: models.KindPath, Path: "a/b/c"}},
		{"a file name with a colon and no owner", "a:b.gguf", models.Spec{Kind: models.KindPath, Path: "a:b.gguf"}},
		{"a path that looks like a repository file", "./o/r:f.gguf", models.Spec{Kind: models.KindPath, Path: "./o/r:f.gguf"}},
		{"a file name with spaces", "my model.gguf", models.Spec{Kind: models.KindPath, Path: "my model.gguf"}},
		{"the working directory", ".", models.Spec{Kind: models.KindPath, Path: "."}},
		{"an alias", "gemma-3-1b-Q4_K_M", models.Spec{Kind: models.KindAlias, Alias: "gemma-3-1b-Q4_K_M"}},
		{"an alias with a dot", "llama-3.2-1b", models.Spec{Kind: models.KindAlias, Alias: "llama-3.2-1b"}},
		{"the built-in model", "tiny", models.Spec{Kind: models.KindTiny}},
		{"tiny in capitals is an alias", "Tiny", models.Spec{Kind: models.KindAlias, Alias: "Tiny"}},
		{"a file of a repository", "ggml-org/gemma-3-1b-it-GGUF:gemma-3-1b-it-Q4_K_M.gguf",
			models.Spec{Kind: models.KindRepoFile, Owner: "ggml-org", Repo: "gemma-3-1b-it-GGUF", File: "gemma-3-1b-it-Q4_K_M.gguf"}},
		{"a file in a folder of a repository", "o/r:Q4/a-00001-of-00002.gguf",
			models.Spec{Kind: models.KindRepoFile, Owner: "o", Repo: "r", File: "Q4/a-00001-of-00002.gguf"}},
		{"a quantisation of a repository", "o/r.v1:Q4_K_M", models.Spec{Kind: models.KindRepoQuant, Owner: "o", Repo: "r.v1", Quant: "Q4_K_M"}},
		{"a quantisation in small letters", "o/r:q8_0", models.Spec{Kind: models.KindRepoQuant, Owner: "o", Repo: "r", Quant: "Q8_0"}},
		{"a quantisation with a maker's mark", "o/r:UD-Q4_K_XL", models.Spec{Kind: models.KindRepoQuant, Owner: "o", Repo: "r", Quant: "UD-Q4_K_XL"}},
		{"a URL", "https://example.com/a/b.gguf", models.Spec{Kind: models.KindURL, URL: "https://example.com/a/b.gguf"}},
		{"a URL with a query", "http://localhost:8000/b.gguf?download=true", models.Spec{Kind: models.KindURL, URL: "http://localhost:8000/b.gguf?download=true"}},
		{"a URL with a digest", "https://example.com/b.gguf#sha256=" + strings.Repeat("0A", 32),
			models.Spec{Kind: models.KindURL, URL: "https://example.com/b.gguf", SHA256: strings.Repeat("0a", 32)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := models.ParseSpec(c.raw)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Raw = c.raw
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseSpecRefuses(t *testing.T) {
	for _, c := range []struct{ name, raw, why, cure string }{
		{"nothing", "", "is empty", "a MODEL is"},
		{"spaces", "  ", "is empty", "a MODEL is"},
		{"a NUL byte", "a\x00.gguf", "NUL", "a MODEL is"},
		{"a repository alone", "ggml-org/gemma-3-1b-it-GGUF", "no file in it", "ggml-org/gemma-3-1b-it-GGUF:Q4_K_M"},
		{"nothing after the colon", "o/r:", "nothing after the colon", "OWNER/REPO:QUANT"},
		{"a file outside of the repository", "o/r:../x.gguf", "no file inside", "page lists it"},
		{"an absolute file in a repository", "o/r:/etc/x.gguf", "no file inside", "page lists it"},
		{"a file with a hidden climb", "o/r:a/../../x.gguf", "no file inside", "page lists it"},
		{"a file with a query", "o/r:a?x=.gguf", "no file inside", "page lists it"},
		{"a quantisation with spaces", "o/r:Q4 K", "neither a .gguf file nor a quantisation", "Q4_K_M"},
		{"a colon and no repository", "model:Q4", "is no OWNER/REPO", "a MODEL is"},
		{"another scheme", "ftp://example.com/a.gguf", `scheme "ftp"`, "a MODEL is"},
		{"a URL without a host", "https:///a.gguf", "names no host", "a MODEL is"},
		{"a model's page", "https://example.com/o/r", "does not lead to a .gguf file", "not of its page"},
		{"a URL with a digest that is none", "https://example.com/b.gguf#sha256=abc", `"abc" for a SHA-256`, "64 hexadecimal digits"},
		{"a URL that is broken", "https://[::1/a.gguf", "no URL that can be read", "a MODEL is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := models.ParseSpec(c.raw)
			var spec *models.SpecError
			if !errors.As(err, &spec) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if !strings.Contains(err.Error(), c.why) || !strings.Contains(spec.Hint(), c.cure) || spec.ExitCode() != 2 {
				t.Errorf("says %q with hint %q, exit %d", err, spec.Hint(), spec.ExitCode())
			}
		})
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"a.gguf", "o/r:Q4", "o/r:f.gguf", "https://h/a.gguf", "tiny", "~", ":", "a:b:c", "o/r:a/../b.gguf"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := models.ParseSpec(raw)
		if err != nil {
			return
		}
		if s.Raw != raw || s.Kind == "" {
			t.Fatalf("%q gave %+v", raw, s)
		}
		if s.Kind == models.KindRepoFile && (strings.Contains("/"+s.File+"/", "/../") || strings.HasPrefix(s.File, "/")) {
			t.Fatalf("%q climbs out: %+v", raw, s)
		}
	})
}

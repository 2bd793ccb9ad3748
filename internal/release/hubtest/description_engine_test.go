//go:build engine

package hubtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write github-openapi.json anew")

const descriptionFile = "github-openapi.json"

// what a publisher uses of the API.
var usedOperations = map[string][]string{
	"/installation/repositories":                         {"get"},
	"/repos/{owner}/{repo}":                              {"get"},
	"/repos/{owner}/{repo}/commits/{ref}":                {"get"},
	"/repos/{owner}/{repo}/releases":                     {"get", "post"},
	"/repos/{owner}/{repo}/releases/latest":              {"get"},
	"/repos/{owner}/{repo}/releases/tags/{tag}":          {"get"},
	"/repos/{owner}/{repo}/releases/{release_id}":        {"get", "patch", "delete"},
	"/repos/{owner}/{repo}/releases/assets/{asset_id}":   {"get", "delete"},
	"/repos/{owner}/{repo}/releases/{release_id}/assets": {"get", "post"},
}

// Replies that the fake starts from.
var usedExamples = []string{"full-repository", "release", "release-asset"}

// TestDescriptionIsGitHubsOwn holds github-openapi.json, which the fake of
// `make test` is held to, against GitHub's description itself, as the npm package
// @octokit/openapi has it: LLCUDA_TEST_OPENAPI is its api.github.com.json.
func TestDescriptionIsGitHubsOwn(t *testing.T) {
	data, err := os.ReadFile(os.Getenv("LLCUDA_TEST_OPENAPI"))
	must(t, err)
	var all map[string]any
	must(t, json.Unmarshal(data, &all))
	want := extract(t, all)
	if *update {
		must(t, os.WriteFile(descriptionFile, want, 0o644))
	}
	have, err := os.ReadFile(descriptionFile)
	must(t, err)
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what GitHub describes now: go test -tags engine -run %s -update, and read the difference", descriptionFile, t.Name())
	}
}

// extract takes the used operations and all that they refer to out of a
// description, without its prose.
func extract(t *testing.T, all map[string]any) []byte {
	paths := map[string]any{}
	for path, methods := range usedOperations {
		item := map[string]any{}
		for _, m := range methods {
			item[m] = bare(at(t, all, "paths", path, m))
		}
		paths[path] = item
	}
	components := map[string]any{}
	todo := references(paths)
	for _, e := range usedExamples {
		todo = append(todo, "#/components/examples/"+e)
	}
	for seen := map[string]bool{}; len(todo) > 0; {
		ref := todo[0]
		todo = todo[1:]
		if seen[ref] {
			continue
		}
		seen[ref] = true
		keys := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
		v := at(t, all, keys...)
		if keys[1] != "examples" {
			v = bare(v)
		}
		kind, _ := components[keys[1]].(map[string]any)
		if kind == nil {
			kind = map[string]any{}
			components[keys[1]] = kind
		}
		kind[keys[2]] = v
		todo = append(todo, references(v)...)
	}
	// The example of a repository holds others, and what looks like a secret.
	value := at(t, components, "examples", "full-repository", "value").(map[string]any)
	for _, k := range []string{"parent", "source", "template_repository", "organization", "temp_clone_token"} {
		delete(value, k)
	}
	info := at(t, all, "info").(map[string]any)
	var b bytes.Buffer
	line := func(indent int, key string, v any, comma bool) {
		text, err := json.Marshal(v)
		must(t, err)
		b.WriteString(strings.Repeat(" ", indent) + `"` + key + `": ` + string(text))
		if comma {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	block := func(indent int, m map[string]any) {
		keys := slices.Sorted(maps.Keys(m))
		for i, k := range keys {
			line(indent, k, m[k], i+1 < len(keys))
		}
	}
	b.WriteString("{\n")
	line(1, "openapi", all["openapi"], true)
	line(1, "info", map[string]any{"title": info["title"], "version": info["version"], "license": info["license"],
		"description": "An extract: the operations that publishing uses, without prose, made by TestDescriptionIsGitHubsOwn from api.github.com.json of the npm package @octokit/openapi, which has it from github.com/github/rest-api-description. MIT License; see README.md beside this file."}, true)
	b.WriteString(" \"paths\": {\n")
	block(2, paths)
	b.WriteString(" },\n \"components\": {\n")
	kinds := slices.Sorted(maps.Keys(components))
	for i, k := range kinds {
		b.WriteString("  \"" + k + "\": {\n")
		block(3, components[k].(map[string]any))
		b.WriteString("  }" + map[bool]string{true: ","}[i+1 < len(kinds)] + "\n")
	}
	b.WriteString(" }\n}\n")
	return b.Bytes()
}

func at(t *testing.T, v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		if v = m[k]; v == nil {
			t.Fatalf("the description lacks %q of %q", k, keys)
		}
	}
	return v
}

func references(v any) (refs []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if s, ok := x.(string); ok && k == "$ref" {
				refs = append(refs, s)
				continue
			}
			refs = append(refs, references(x)...)
		}
	case []any:
		for _, x := range v {
			refs = append(refs, references(x)...)
		}
	}
	return refs
}

var prose = []string{"description", "summary", "title", "example", "examples", "externalDocs", "x-github", "x-octokit", "tags", "operationId", "deprecated", "servers"}

// bare drops prose. A property of such a name is a schema, so a map, and stays;
// "examples" of a media type is a map too, and has no type.
func bare(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if m, isMap := x.(map[string]any); slices.Contains(prose, k) && (!isMap || m["type"] == nil && m["$ref"] == nil && m["anyOf"] == nil) {
				if k == "description" && !isMap && isResponse(v) {
					out[k] = "" // a response must have one
				}
				continue
			}
			out[k] = bare(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = bare(x)
		}
		return out
	}
	return v
}

func isResponse(m map[string]any) bool {
	return m["type"] == nil && m["schema"] == nil && m["parameters"] == nil && m["responses"] == nil && m["properties"] == nil
}

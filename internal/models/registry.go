package models

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// RegistryName is the registry's file in a checkout.
const RegistryName = "internal/models/registry.json"

// RegistrySchema is the version of the registry file that this code reads.
const RegistrySchema = 1

// Registry is the file of models that have a short name. Its data say where
// each value was read: a digest that nobody read anywhere is left out, and the
// hub's own is held to.
type Registry struct {
	Schema int     `json:"schema"`
	Models []Entry `json:"models"`
}

// Entry is one model of the registry.
type Entry struct {
	Alias string `json:"alias"`
	Repo  string `json:"repo"`
	// File is the path in the repository; for a split model the first part's.
	File  string `json:"file"`
	Quant string `json:"quant"`
	// Revision is the commit that Size and SHA256 are of, "" where none was read.
	Revision string `json:"revision,omitempty"`
	Size     int64  `json:"size,omitempty"`
	SHA256   string `json:"sha256,omitempty"`

	Licence Licence `json:"licence"`
	// Gated says that the hub wants the licence accepted before it gives the file.
	Gated bool `json:"gated"`
	// Sources say where the entry's values were read.
	Sources []string `json:"sources"`
}

// Licence is what a user should know before using a model.
type Licence struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"`
}

func (l Licence) String() string {
	if l.URL == "" {
		return l.Name
	}
	return l.Name + " (" + l.URL + ")"
}

// Name is what a user would type for the entry's file.
func (e Entry) Name() string { return e.Repo + ":" + e.File }

//go:embed registry.json
var registryFile []byte

var builtin = sync.OnceValues(func() (Registry, error) { return ParseRegistry(registryFile) })

// BuiltinRegistry is the one that this program was built with. It is read when
// it is first asked for.
func BuiltinRegistry() (Registry, error) { return builtin() }

var sha256Text = lazyregexp.New(`^[0-9a-f]{64}$`)

// ParseRegistry reads a registry and refuses one with mistakes: all are named.
func ParseRegistry(data []byte) (Registry, error) {
	var head struct{ Schema int }
	if err := json.Unmarshal(data, &head); err != nil {
		return Registry{}, fmt.Errorf("reading the registry of models: %w", err)
	}
	if head.Schema != RegistrySchema {
		return Registry{}, fmt.Errorf("the registry of models has schema %d, %d is known", head.Schema, RegistrySchema)
	}
	var r Registry
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Registry{}, fmt.Errorf("reading the registry of models: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Registry{}, errors.New("reading the registry of models: more after its end")
	}
	var wrong []error
	seen := map[string]bool{}
	for _, e := range r.Models {
		for _, what := range e.mistakes() {
			wrong = append(wrong, fmt.Errorf("registry of models: %s: %s", e.Alias, what))
		}
		if name := strings.ToLower(e.Alias); seen[name] {
			wrong = append(wrong, fmt.Errorf("registry of models: %s stands there twice", e.Alias))
		} else {
			seen[name] = true
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return Registry{}, err
	}
	return r, nil
}

func (e Entry) mistakes() []string {
	var list []string
	add := func(bad bool, what string) {
		if bad {
			list = append(list, what)
		}
	}
	spec, err := ParseSpec(e.Name())
	add(err != nil || spec.Kind != KindRepoFile || hub.CheckRepo(e.Repo) != nil, fmt.Sprintf("%q is no file of a repository", e.Name()))
	spec, err = ParseSpec(e.Alias)
	add(err != nil || spec.Kind != KindAlias, "the name would not be read as an alias")
	add(!quantName.MatchString(e.Quant), "no quantisation")
	add(e.Revision != "" && !hub.IsCommit(e.Revision), "the revision is no commit")
	add((e.Size > 0) != (e.SHA256 != "") || e.Size < 0, "size and sha256 go together")
	add(e.SHA256 != "" && !sha256Text.MatchString(e.SHA256), "the sha256 is none")
	add(e.Licence.Name == "", "no licence")
	add(len(e.Sources) == 0, "no source")
	return list
}

// Encode writes a registry as the file has it.
func (r Registry) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(r)
	return b.Bytes(), err
}

// Find is the entry of an alias, in any case of its letters.
func (r Registry) Find(alias string) (Entry, bool) {
	for _, e := range r.Models {
		if strings.EqualFold(e.Alias, alias) {
			return e, true
		}
	}
	return Entry{}, false
}

// of is the entry that names a file of a repository.
func (r Registry) of(repo, file string) (Entry, bool) {
	for _, e := range r.Models {
		if e.Repo == repo && e.File == file {
			return e, true
		}
	}
	return Entry{}, false
}

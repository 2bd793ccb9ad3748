package bundles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// MaxManifestSize bounds a manifest, in bytes. The facts of a release with
// all cells take a few hundred kilobytes.
const MaxManifestSize = 64 << 20

// SchemaError says that a document is of a later major schema than this
// program knows: its fields may mean something else, so none is read.
type SchemaError struct {
	// Document is "manifest" or "fragment".
	Document string
	Got      int
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("%s has schema %d and this program knows schema %d: update llcuda-run", e.Document, e.Got, facts.Schema)
}

// Hint says what to do.
func (e *SchemaError) Hint() string { return "update llcuda-run to a release as new as the bundles'" }

// ExitCode is 4: download or verification failed.
func (e *SchemaError) ExitCode() int { return 4 }

func checkSchema(document string, got int) error {
	if got != facts.Schema {
		return &SchemaError{Document: document, Got: got}
	}
	return nil
}

// Marshal gives the one form in which a manifest is signed and stored: keys of
// maps and bundles sorted, two spaces of indent, a newline at the end. Equal
// manifests give equal bytes.
func (m *Manifest) Marshal() ([]byte, error) {
	c := *m
	c.Bundles = slices.Clone(m.Bundles)
	slices.SortStableFunc(c.Bundles, func(a, b Bundle) int { return strings.Compare(a.ID, b.ID) })
	if c.Bundles == nil {
		c.Bundles = []Bundle{}
	}
	if c.Parts == nil {
		c.Parts = map[string]Part{}
	}
	return canonicalJSON(c)
}

func canonicalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decode reads the schema first and the rest only where it is known. Fields it
// does not know are ignored.
func decode(document string, data []byte, v any) error {
	var head struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("reading %s: %w", document, err)
	}
	if head.Schema == nil {
		return fmt.Errorf("reading %s: it does not state its schema", document)
	}
	if err := checkSchema(document, *head.Schema); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %s: %w", document, err)
	}
	return nil
}

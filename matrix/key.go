package matrix

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// key hashes what decides a bundle's bytes: the cell, the image, the tree, the
// environment and every command. What only decides speed (folders, the number
// of jobs, ccache) is brought to one form first, so that one cell has one key
// wherever it is built.
func (m *Matrix) key(c Cell, t *toolkit, images map[string]string, o PlanOptions) string {
	o.Dirs, o.Jobs, o.Ccache, o.NoCcache = ContainerDirs, 0, true, false
	if o.Draft {
		o.Dirs = DraftDirs
	}
	c.Faster, c.Runtime = nil, nil // they decide a choice, not a byte
	p := m.plan(c, t, images, o)
	return keyOf(p, o)
}

// keyOf hashes a plan whose folders are those of a container, and its source.
func keyOf(p Plan, o PlanOptions) string {
	source := o.Source
	if source.Commit != "" || source.Tree != "" {
		// The tree is known: where it came from does not change it.
		source.URL, source.Ref = "", ""
	}
	// encoding/json writes structs in the order of their fields.
	canonical, err := json.Marshal(struct {
		Schema  int
		Tool    string
		Builder string
		Source  SourceID
		Plan    Plan
	}{1, o.Tool, o.Builder, source, p})
	if err != nil {
		panic("matrix: a plan of strings cannot fail to marshal: " + err.Error())
	}
	sum := sha256.Sum256(canonical)
	return "sha256:" + hex.EncodeToString(sum[:])
}

package release

import (
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
)

// Who reads the page of a release learns what a download may cost: the runtime is
// ten times the bundle.
func TestNotesSayWhatEachBundleDownloads(t *testing.T) {
	earlier := "v1"
	m := &bundles.Manifest{Release: "v2", Sequence: 2,
		Bundles: []bundles.Bundle{
			{ID: "cpu", App: "sha256:c"},
			{ID: "cuda11.8-all", Toolkit: "11.8.0", App: "sha256:a", Runtime: []string{bundles.RuntimeHost, "sha256:s"}},
			{ID: "cuda11.8-sm75", Toolkit: "11.8.0", App: "sha256:t", Runtime: []string{bundles.RuntimeHost, "sha256:l", "sha256:s"}},
		},
		Parts: map[string]bundles.Part{
			"sha256:c": {Size: 5}, "sha256:a": {Size: 150}, "sha256:t": {Size: 21},
			"sha256:s": {Size: 256, Form: "stock", Release: &earlier}, "sha256:l": {Size: 48, Form: "lean"},
		}}
	text := body(m, "What is new.", "github:owner/repo", "KEY")
	for _, want := range []string{
		"What is new.\n\n| bundle |",
		"| `cpu` | none | 5 bytes | none |\n",
		"| `cuda11.8-all` | CUDA 11.8.0 | 150 bytes | the host's; else stock, 256 bytes (in v1) |\n",
		"| `cuda11.8-sm75` | CUDA 11.8.0 | 21 bytes | the host's; else lean, 48 bytes; else stock, 256 bytes (in v1) |\n",
		"once for all bundles of a toolkit",
		marker("v2"),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the notes lack %q:\n%s", want, text)
		}
	}
}

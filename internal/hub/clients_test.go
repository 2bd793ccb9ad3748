//go:build clients

package hub_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/waqasm86/llcuda/internal/hub"
	"github.com/waqasm86/llcuda/internal/hub/hubtest"
)

// script runs scripts/hub-clients.mjs, which drives Hugging Face's own
// @huggingface/hub. scripts/hub-clients.sh installs it and sets HUB_CLIENTS.
func script(t *testing.T, h *hubtest.Hub, home string, args ...string) (answer struct{ Path, Blob, Ref string }) {
	t.Helper()
	dir := os.Getenv("HUB_CLIENTS")
	if dir == "" {
		t.Fatal("run it by scripts/hub-clients.sh")
	}
	cmd := exec.Command("node", append([]string{filepath.Join(dir, "hub-clients.mjs")}, args...)...)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+h.URL, "HF_HOME="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answer
}

// A client that nobody here wrote finds what we stored: by name without a
// download, and when it lists the cache (of which it shows no subfolders).
func TestHuggingFacesOwnClientFindsOurs(t *testing.T) {
	h := hubtest.New(t)
	data := model(100000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"m.gguf": data}}
	c := client(t, h)
	path, err := get(t, c, "o/r", "m.gguf")
	if err != nil {
		t.Fatal(err)
	}
	h.Forget()
	got := script(t, h, filepath.Dir(c.CacheDir()), "find", "o/r", "m.gguf")
	if got.Path != path || got.Blob != filepath.Join(c.CacheDir(), "models--o--r", "blobs", hubtest.Sum(data)) || got.Ref != "main" {
		t.Errorf("it says %+v, ours is %s", got, path)
	}
	for _, r := range h.Requests() {
		if r.CDN {
			t.Errorf("it downloaded: %+v", r)
		}
	}
}

// And we use what it downloads, after one look at its bytes.
func TestWeFindWhatHuggingFacesOwnClientStored(t *testing.T) {
	h := hubtest.New(t)
	data := model(100000)
	h.Repos["o/r"] = &hubtest.Repo{Files: map[string][]byte{"sub/m.gguf": data}}
	c := client(t, h)
	got := script(t, h, filepath.Dir(c.CacheDir()), "download", "o/r", "sub/m.gguf")
	f, ok := c.Lookup("o/r", hubtest.Commit, "sub/m.gguf") // it writes no refs
	if !ok || f.Link != got.Path || f.SHA256 != hubtest.Sum(data) {
		t.Fatalf("%+v, it is at %s", f, got.Path)
	}
	if err := c.Verify(t.Context(), f, "", nil); err != nil {
		t.Error(err)
	}
	h.Forget()
	if path, err := get(t, c, "o/r", "sub/m.gguf"); err != nil || path != got.Path {
		t.Error(path, err)
	}
	for _, r := range h.Requests() {
		if r.CDN {
			t.Errorf("downloaded again: %+v", r)
		}
	}
	if commit, ok := c.Ref("o/r", hub.Main); !ok || commit != hubtest.Commit {
		t.Errorf("main is %q", commit)
	}
}

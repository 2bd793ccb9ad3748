package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A job of GitHub's that runs out of time is cancelled, and what it compiled is lost: the
// build has to end before, and the compiler cache to be saved.
func TestACellThatTakesTooLongSavesItsCompilerCache(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"scripts/source.sh":     "#!/bin/sh\n",
		"scripts/cuda-image.sh": "#!/bin/sh\n",
		"bin/llcuda-build": `#!/bin/sh
case $1 in
build) exec sleep 60 ;;
ccache) [ "$2" = save ] && echo saved >"$4" ;;
esac
`,
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"scripts/cell.sh", "scripts/env.sh"} {
		data, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), filepath.Join(root, "scripts/cell.sh"), "cuda11.8-sm75", "ccache.tar")
	c.Env = append(os.Environ(), "TIME_LIMIT=1", "LLCUDA_CACHE="+filepath.Join(root, "cache"))
	began := time.Now()
	out, err := c.CombinedOutput()
	if took := time.Since(began); err == nil || took > 30*time.Second {
		t.Errorf("it ended after %s with %v\n%s", took, err, out)
	}
	if _, err := os.Stat(filepath.Join(root, "ccache.tar")); err != nil {
		t.Errorf("no compiler cache was saved: %v\n%s", err, out)
	}
}

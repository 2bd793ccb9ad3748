package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A release's jobs build one cell each, and those of one toolkit each make its
// runtime part.
func TestJobsThatShareARuntimeAreMerged(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "dist")
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	merge := func(to string) (string, error) {
		out, err := exec.Command("../../scripts/merge-dist.sh", from, to).CombinedOutput()
		return string(out), err
	}
	const stock = "cuda12.4.1-stock-0123456789ab.tar.zst"
	for _, cell := range []string{"cuda12.4-sm75", "cuda12.4-sm90"} {
		put("dist-"+cell+"/"+cell+"-0123456789ab.tar.zst", cell)
		put("dist-"+cell+"/"+cell+".bundle.json", "{}")
		put("dist-"+cell+"/extra/"+cell+".spdx.json", "{}")
		put("dist-"+cell+"/"+stock, "the same in both")
	}
	if out, err := merge(to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{stock, "cuda12.4-sm75.bundle.json", "cuda12.4-sm90.bundle.json", "extra/cuda12.4-sm90.spdx.json"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
	put("dist-cuda12.4-sm90/"+stock, "another")
	if out, err := merge(filepath.Join(t.TempDir(), "again")); err == nil || !strings.Contains(out, stock+" comes from two jobs") {
		t.Errorf("two files of one name: %v\n%s", err, out)
	}
}

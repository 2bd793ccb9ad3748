package main

import (
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/waqasm86/llcuda/internal/cli"
)

func TestMuslIsSaidBeforeAnythingFailsOddly(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		ok    bool
	}{
		"glibc":                     {[]string{"lib64/ld-linux-x86-64.so.2"}, true},
		"glibc with musl beside it": {[]string{"lib64/ld-linux-x86-64.so.2", "lib/ld-musl-x86_64.so.1"}, true},
		"musl":                      {[]string{"lib/ld-musl-x86_64.so.1"}, false},
		"neither":                   {nil, true},
	} {
		root := fstest.MapFS{}
		for _, f := range c.files {
			root[f] = &fstest.MapFile{}
		}
		err := needsGlibc(root)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (cli.Code(t.Context(), err) != cli.ExitNoBundle || !strings.Contains(cure(err), "container")) {
			t.Errorf("%s: %v, %s", name, err, cure(err))
		}
	}
}

// Where no bundle is for the machine the program is one file that says so: every
// other file must be left out, or it would not build there. `make lint` builds it.
func TestElsewhereTheProgramIsOneSentence(t *testing.T) {
	for _, target := range []string{"windows/amd64", "darwin/arm64", "linux/arm64"} {
		goos, arch, _ := strings.Cut(target, "/")
		cmd := exec.Command("go", "list", "-f", "{{.GoFiles}} {{.Imports}}", ".")
		cmd.Env = append(cmd.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "[elsewhere.go] [fmt os runtime]" {
			t.Errorf("%s: %v: %s", target, err, out)
		}
	}
}

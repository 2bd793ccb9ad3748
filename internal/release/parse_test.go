package release

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSourcesAreReadAsUsersNameThem(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "a@b"), 0o755))
	for spec, want := range map[string]string{
		"github:owner/repo":      "github:owner/repo",
		"github:owner/repo@v1.2": "github:owner/repo@v1.2",
		"https://host/p":         "https://host/p",
		"https://host/p/":        "https://host/p",
		"https://host/p@v1":      "https://host/p@v1",
		"http://host:80/@v1":     "http://host:80/@v1",
		"https://host":           "https://host/",
		dir:                      dir,
		dir + "@v1":              dir + "@v1",
		dir + "/a@b":             dir + "/a@b",
		dir + "/a@b@v1":          dir + "/a@b@v1",
		dir + "/not-there-yet":   dir + "/not-there-yet",
	} {
		s, err := Parse(spec, Options{})
		if err != nil || s.String() != want {
			t.Errorf("%q is %v (%v), want %q", spec, s, err, want)
		}
	}
	for _, spec := range []string{"", "github:", "github:owner", "github:owner/repo/x", "github:owner/..", "github:../repo", "github:owner/repo@", "github:owner/repo@a/b",
		"github:owner/repo?x", "ftp://host/x", "https://", "https://user:pw@host/x", "https://host/x?token=1", "https://host/x#y", "https://host/x@..", dir + "@.."} {
		if s, err := Parse(spec, Options{}); err == nil {
			t.Errorf("%q passes as %v", spec, s)
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("github:owner/repo@v1")
	f.Add("https://host/path@v1")
	f.Add("/some/dir@v1")
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := Parse(spec, Options{})
		address := strings.HasPrefix(spec, "github:") || strings.HasPrefix(spec, "http://") || strings.HasPrefix(spec, "https://")
		if err != nil || !address {
			return // what a folder's name means depends on what exists, "http@x/" too
		}
		if again, err := Parse(s.String(), Options{}); err != nil || again.String() != s.String() {
			t.Errorf("%q is %q, and that is %v, %v", spec, s, again, err)
		}
	})
}

package source

import (
	"strings"
	"testing"
)

func TestParseURLs(t *testing.T) {
	for _, c := range []struct{ text, url, ref string }{
		{"https://example.org/o/r", "https://example.org/o/r", ""},
		{"https://example.org/o/r@v1", "https://example.org/o/r", "v1"},
		{"https://u:p@example.org/o/r@feature/x", "https://u:p@example.org/o/r", "feature/x"},
		{"https://u@example.org", "https://u@example.org", ""},
		{"git@example.org:o/r", "git@example.org:o/r", ""},
		{"git@example.org:o/r.git@main", "git@example.org:o/r.git", "main"},
		{"ssh://git@example.org:22/o/r@b1", "ssh://git@example.org:22/o/r", "b1"},
	} {
		s, err := parse(c.text, Repository{})
		if err != nil || s.kind != kindRemote || s.path != c.url || s.ref != c.ref {
			t.Errorf("%s: %+v, %v", c.text, s, err)
		}
	}
	s, err := parse("", Repository{"https://example.org/x", "v1"})
	if err != nil || s.path != "https://example.org/x" || s.ref != "v1" {
		t.Errorf("default: %+v, %v", s, err)
	}
}

func TestPublicURLTellsNothingOfThisMachine(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.org/o/r":                "https://example.org/o/r",
		"https://u:p@example.org/o/r?x=1#y":      "https://example.org/o/r",
		"https://token@example.org/o/r":          "https://example.org/o/r",
		"ssh://git:p@example.org/o/r":            "ssh://git@example.org/o/r",
		"git@example.org:o/r":                    "git@example.org:o/r",
		"file:///srv/private":                    "",
		"/srv/private":                           "",
		"../x":                                   "",
		"https://user:p%zz@example.org/bad":      "",
		"ext::sh -c evil":                        "",
		"ftp://example.org/x":                    "",
		"file://u:secret@host/srv/private":       "",
		"HTTPS://u:p@EXAMPLE.org/o/r":            "https://EXAMPLE.org/o/r",
		"https://u:p@example.org/o/r.git/../x@y": "https://example.org/o/r.git/../x@y",
	} {
		if got := publicURL(raw); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
		if got := redact(raw); strings.Contains(got, ":p@") || strings.Contains(got, "secret") {
			t.Errorf("%s: redacted is %q", raw, got)
		}
	}
	err := repositoryError("https://u:p%zz@example.org/x", &gitError{args: []string{"fetch"}, said: "unable to access 'https://u:p%zz@example.org/x'"})
	if strings.Contains(err.Error(), "p%zz") {
		t.Errorf("error %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"https://h/p@r", "git@h:p@r", "://", "@", "a@b@c", "file://@", "ssh://", "https://h@@@", "x://y/@-z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text, Repository{})
		if err == nil && (strings.HasPrefix(s.path, "-") || strings.HasPrefix(s.ref, "-") || strings.ContainsAny(s.path+s.ref, "\n\x00")) {
			t.Errorf("%q: %+v", text, s)
		}
		publicURL(text)
	})
}

func FuzzRefs(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add(id+"\tHEAD\n"+id+"\trefs/tags/b1\n"+id+"\trefs/tags/b1^{}\n", "b1")
	f.Add("garbage\n\t\n", "")
	f.Fuzz(func(t *testing.T, text, ref string) {
		a := parseRefs(text)
		if _, commit, ok := a.find(ref); ok && !commitID.MatchString(commit) {
			t.Errorf("commit %q", commit)
		}
		a.names()
		if id, ok := a.pick(ref); ok && !commitID.MatchString(id) {
			t.Errorf("object %q", id)
		}
	})
}

package inspect

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

const (
	// maxComment bounds the compilers' comments that are read.
	maxComment = 1 << 20
	maxUsers   = 64
	maxUser    = 32
	maxHost    = 253
)

// homes are folders with one folder for each person.
var homes = []string{"/home/", "/Users/"}

// bannerWords stand before the USER@HOST of whoever built something: the Linux
// kernel's "(root@buildd) (gcc …)", Vim's "Compiled by", and their like.
var bannerWords = []string{"(", "by ", "By ", "built on ", "user=", "BUILD_USER="}

// comment looks through the compilers' own comments, where any USER@HOST is one.
func (t *textScan) comment(o *object, s *section) error {
	b, err := o.bytes(s.off, min(s.size, maxComment), "the compilers' comments")
	if err != nil {
		return err
	}
	t.banner(b)
	return nil
}

// banner notes who is named as USER@HOST behind one of bannerWords. Addresses of
// mail, which licences and programs are full of, have a dot in their host: it
// counts only where it has none, or is a local one.
func (t *textScan) banner(b []byte) {
	for i := 0; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '@')
		if n < 0 {
			return
		}
		i += n
		start, end := i, i+1
		for start > 0 && i-start < maxUser && userChar(b[start-1]) {
			start--
		}
		for end < len(b) && end-i < maxHost && (userChar(b[end]) || b[end] == '.') {
			end++
		}
		host := strings.TrimRight(string(b[i+1:end]), ".")
		if start == i || host == "" || len(t.users) >= maxUsers || strings.Contains(host, ".") && !localHost(host) {
			continue
		}
		if slices.ContainsFunc(bannerWords, func(w string) bool { return bytes.HasSuffix(b[:start], []byte(w)) }) {
			t.users[string(b[start:i])+"@"+host] = true
		}
	}
}

func userChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func localHost(h string) bool {
	return slices.ContainsFunc([]string{".local", ".localdomain", ".lan", ".internal", ".home"}, func(e string) bool { return strings.HasSuffix(h, e) })
}

// people are the banners' names and the owners of the folders that leaked.
func (t *textScan) people(paths []string) []string {
	for _, p := range paths {
		for _, home := range homes {
			if rest, ok := strings.CutPrefix(p, home); ok && len(t.users) < maxUsers {
				name, _, _ := strings.Cut(rest, "/")
				t.users[name] = true
			}
		}
	}
	if len(t.users) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(t.users))
}

// releaseBanner stands in NVIDIA's compilers, followed by "12.4, V12.4.127".
var releaseBanner = []byte("Cuda compilation tools, release ")

// toolRelease is the version behind the banner, "" where there is none.
func toolRelease(b []byte) string {
	i := bytes.Index(b, releaseBanner)
	if i < 0 {
		return ""
	}
	_, rest, _ := bytes.Cut(b[i:min(len(b), i+80)], []byte(", V"))
	end := 0
	for end < len(rest) && (rest[end] >= '0' && rest[end] <= '9' || rest[end] == '.') {
		end++
	}
	if v := strings.Trim(string(rest[:end]), "."); isVersion(v) {
		return v
	}
	return ""
}

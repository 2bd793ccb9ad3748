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
	// minName keeps chance out: constants are full of bytes around an @.
	minName = 3
)

// homes are folders with one folder for each person.
var homes = []string{"/home/", "/Users/"}

// bannerWords stand before the USER@HOST of whoever built something: the Linux
// kernel's "(root@buildd) (gcc …)", Vim's "Compiled by", and their like.
var bannerWords = []string{"(", "by ", "By ", "built on ", "user=", "BUILD_USER="}

// comment looks through the compilers' own comments, where any USER@HOST is one.
func (t *textScan) comment(o *object, s *section) error {
	n := min(s.size, maxComment-t.comments)
	t.comments += n
	b, err := o.bytes(s.off, n, "the compilers' comments")
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
		if i-start < minName || len(host) < minName || !letter(b[start]) || !letter(host[0]) || end < len(b) && !closes(b[end]) || len(t.users) >= maxUsers || strings.Contains(host, ".") && !localHost(host) {
			continue
		}
		if slices.ContainsFunc(bannerWords, func(w string) bool { return bytes.HasSuffix(b[:start], []byte(w)) }) {
			t.users[string(b[start:i])+"@"+host] = true
		}
	}
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' }

// closes says whether c may follow a banner's host.
func closes(c byte) bool { return c <= ' ' || strings.IndexByte("),;:>]\"'", c) >= 0 }

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

// toolRelease is the version behind the banner, "" where there is none whole.
func toolRelease(b []byte) string {
	for {
		i := bytes.Index(b, releaseBanner)
		if i < 0 {
			return ""
		}
		b = b[i+len(releaseBanner):]
		release, rest := leadingVersion(b)
		full, rest := leadingVersion(bytes.TrimPrefix(rest, []byte(", V")))
		// What the window cuts off is seen whole with the next one.
		if len(rest) > 0 && release != "" && strings.HasPrefix(full, release+".") && isVersion(full) {
			return full
		}
	}
}

// leadingVersion splits off the digits and dots that b starts with.
func leadingVersion(b []byte) (version string, rest []byte) {
	end := 0
	for end < len(b) && (b[end] >= '0' && b[end] <= '9' || b[end] == '.') {
		end++
	}
	return string(b[:end]), b[end:]
}

package host

import (
	"io"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

// tree is the file system a host is read from. Paths inside it are absolute and
// are the host's; root is where that host's "/" lies on this machine.
type tree struct{ root string }

// at is where p of the host lies on this machine, symbolic links resolved as the
// host would resolve them.
func (t tree) at(p string) string {
	if real, ok := t.real(p); ok {
		return t.join(real)
	}
	return t.join(p)
}

func (t tree) join(p string) string {
	if t.root == "" || t.root == "/" {
		return p
	}
	return filepath.Join(t.root, p)
}

// real resolves all links of p inside the host; false where it does not exist.
func (t tree) real(p string) (string, bool) {
	const maxLinks = 40 // as the kernel does
	rest, done, links := strings.Split(path.Clean(p), "/")[1:], "/", 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, name)
		info, err := os.Lstat(t.join(next))
		if err != nil {
			return "", false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", false
		}
		target, err := os.Readlink(t.join(next))
		if err != nil {
			return "", false
		}
		if path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, true
}

func (t tree) exists(p string) bool {
	_, ok := t.real(p)
	return ok
}

// read returns at most 1 MiB of a file: /proc says a size of 0 for all of its
// files, and none that is read here is larger.
func (t tree) read(p string) ([]byte, error) {
	f, err := os.Open(t.at(p))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

func (t tree) text(p string) string {
	data, err := t.read(p)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// list are the names in a folder, sorted; nil where it cannot be read.
func (t tree) list(p string) []string {
	entries, err := os.ReadDir(t.at(p))
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	sort.Strings(names)
	return names
}

// match are the paths that a pattern of path.Match elements finds, sorted.
func (t tree) match(pattern string) []string {
	found := []string{"/"}
	for _, part := range strings.Split(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, "*?[") {
				if p := path.Join(dir, part); t.exists(p) {
					next = append(next, p)
				}
				continue
			}
			for _, name := range t.list(dir) {
				if ok, err := path.Match(part, name); err == nil && ok {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return found
}

package host

import (
	"path"
	"strings"
)

// defaultDirs are searched by the loader after its cache. The multiarch folders
// are Debian's; elsewhere they do not exist.
var defaultDirs = [...]string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// loader finds libraries as the dynamic loader would.
type loader struct {
	tree  tree
	env   []string // folders of LD_LIBRARY_PATH
	cache map[string][]string
	// err says why the cache could not be used.
	err error
}

func newLoader(t tree, env map[string]string) *loader {
	l := &loader{tree: t}
	for _, dir := range strings.FieldsFunc(env["LD_LIBRARY_PATH"], func(r rune) bool { return r == ':' || r == ';' }) {
		if path.IsAbs(dir) { // a relative one means another thing in each folder
			l.env = append(l.env, path.Clean(dir))
		}
	}
	data, err := t.read("/etc/ld.so.cache")
	if err == nil {
		l.cache, err = parseCache(data)
	}
	l.err = err
	return l
}

// fromEnv finds a library through LD_LIBRARY_PATH only.
func (l *loader) fromEnv(soname string) (string, bool) {
	return l.in(l.env, soname)
}

// fromSystem finds a library without LD_LIBRARY_PATH: the cache, then the
// default folders.
func (l *loader) fromSystem(soname string) (string, bool) {
	for _, file := range l.cache[soname] {
		if l.tree.exists(file) { // a cache may be older than the disk
			return file, true
		}
	}
	return l.in(defaultDirs[:], soname)
}

// defaults says whether a program without LD_LIBRARY_PATH that asks for soname
// gets this file; real has no links in it.
func (l *loader) defaults(soname, real string) bool {
	p, ok := l.fromSystem(soname)
	if !ok {
		return false
	}
	found, ok := l.tree.real(p)
	return ok && found == real
}

// find is what a program that asks for soname would get.
func (l *loader) find(soname string) (string, bool) {
	if p, ok := l.fromEnv(soname); ok {
		return p, true
	}
	return l.fromSystem(soname)
}

func (l *loader) in(dirs []string, name string) (string, bool) {
	for _, dir := range dirs {
		if p := path.Join(dir, name); l.tree.exists(p) {
			return p, true
		}
	}
	return "", false
}

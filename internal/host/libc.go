package host

import (
	"debug/elf"
	"fmt"
	"strconv"
	"strings"
)

// symbolVersion returns the highest version with a prefix ("GLIBC_") that a
// library defines. It is the loader's own measure: a program that asks for a
// newer one is refused.
func symbolVersion(file, prefix string) (string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	versions, err := f.DynamicVersions()
	if err != nil {
		return "", err
	}
	best := ""
	for _, v := range versions {
		rest, ok := strings.CutPrefix(v.Name, prefix)
		if ok && isDotted(rest) && (best == "" || compareDotted(rest, best) > 0) {
			best = rest
		}
	}
	if best == "" {
		return "", fmt.Errorf("%s defines no %s version", file, prefix)
	}
	return best, nil
}

// readLibc finds glibc's and libstdc++'s versions as a program would meet them.
func readLibc(t tree, l *loader, unknown, sources map[string]string) (libc, cxx string) {
	ask := func(key, soname, prefix string) string {
		p, ok := l.find(soname)
		if !ok {
			unknown[key] = soname + " not found"
			if key == "libc" && len(t.match("/lib/ld-musl-*")) > 0 {
				unknown[key] = "this system's C library is musl, not glibc"
			}
			return ""
		}
		v, err := symbolVersion(t.at(p), prefix)
		if err != nil {
			unknown[key] = "reading " + p + ": " + err.Error()
			return ""
		}
		sources[key] = p
		return v
	}
	return ask("libc", "libc.so.6", "GLIBC_"), ask("glibcxx", "libstdc++.so.6", "GLIBCXX_")
}

func isDotted(s string) bool {
	for _, part := range strings.Split(s, ".") {
		if _, err := strconv.ParseUint(part, 10, 32); err != nil {
			return false
		}
	}
	return true
}

// compareDotted compares versions number by number; a missing part counts as 0.
func compareDotted(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		var m, n uint64
		if i < len(x) {
			m, _ = strconv.ParseUint(x[i], 10, 64)
		}
		if i < len(y) {
			n, _ = strconv.ParseUint(y[i], 10, 64)
		}
		if m != n {
			if m < n {
				return -1
			}
			return 1
		}
	}
	return 0
}

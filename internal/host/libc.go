package host

import (
	"debug/elf"
	"fmt"
	"slices"
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
	names, err := versionNames(f)
	if err != nil {
		return "", err
	}
	best := ""
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
		if ok && isDotted(rest) && (best == "" || compareDotted(rest, best) > 0) {
			best = rest
		}
	}
	if best == "" {
		return "", fmt.Errorf("%s defines no %s version", file, prefix)
	}
	return best, nil
}

// versionNames are the names of the versions that a file defines, from its section
// .gnu.version_d (Elf64_Verdef and Elf64_Verdaux in glibc's elf.h; of the same size
// in 32 bits). debug/elf's DynamicVersions tells them too, after it has read every
// symbol: 5 ms for the 6,000 of libstdc++, before each command.
func versionNames(f *elf.File) ([]string, error) {
	i := slices.IndexFunc(f.Sections, func(s *elf.Section) bool { return s.Type == elf.SHT_GNU_VERDEF })
	if i < 0 || f.Sections[i].Link >= uint32(len(f.Sections)) { //nolint:gosec // far fewer than 2^32
		return nil, nil
	}
	defined, err := f.Sections[i].Data()
	if err != nil {
		return nil, err
	}
	text, err := f.Sections[f.Sections[i].Link].Data()
	if err != nil {
		return nil, err
	}
	const auxAt, nextAt, size = 12, 16, 20
	var names []string
	for len(defined) >= size {
		// The first name is the version's own, the others are those of what it follows.
		if aux := f.ByteOrder.Uint32(defined[auxAt:]); uint64(aux)+4 <= uint64(len(defined)) {
			if name, ok := cString(text, f.ByteOrder.Uint32(defined[aux:])); ok {
				names = append(names, name)
			}
		}
		next := f.ByteOrder.Uint32(defined[nextAt:])
		if next < size || uint64(next) > uint64(len(defined)) {
			break
		}
		defined = defined[next:]
	}
	return names, nil
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

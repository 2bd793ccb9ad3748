package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/internal/cli"
)

// differingFiles compares two unpacked parts and names each file that differs,
// with the first place where it does.
func differingFiles(cell, one, two string) error {
	lines, of, err := compareFolders(one, two)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return errors.New("the two parts differ and their files do not: packing is not deterministic, report this")
	}
	return &cli.Error{Code: cli.ExitFailed,
		Err:  fmt.Errorf("built twice, %d of %d files differ:\n%s", len(lines), of, strings.Join(lines, "\n")),
		Cure: "build with --keep DIR and compare DIR/first/cells/" + cell + " with DIR/the-second-one/cells/" + cell}
}

// compareFolders is a line for each file that is not the same in both folders,
// and the number of files.
func compareFolders(one, two string) (lines []string, of int, err error) {
	a, err := filesIn(one)
	if err != nil {
		return nil, 0, err
	}
	b, err := filesIn(two)
	if err != nil {
		return nil, 0, err
	}
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line, err := differs(one, two, name, a, b)
		if err != nil {
			return nil, 0, err
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines, len(names), nil
}

// filesIn maps the files and links under dir to their modes.
func filesIn(dir string) (map[string]fs.FileMode, error) {
	files := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = info.Mode()
		return err
	})
	return files, err
}

// differs is a line about a file that is not the same in both folders, "" where
// it is.
func differs(one, two, name string, a, b map[string]fs.FileMode) (string, error) {
	x, inOne := a[name]
	y, inTwo := b[name]
	switch {
	case !inTwo:
		return name + ": only the first build has it", nil
	case !inOne:
		return name + ": only the second build has it", nil
	case x != y:
		return fmt.Sprintf("%s: mode %v in the first build, %v in the second", name, x, y), nil
	case x&fs.ModeSymlink != 0:
		s, err := os.Readlink(filepath.Join(one, name))
		if err != nil {
			return "", err
		}
		t, err := os.Readlink(filepath.Join(two, name))
		if err != nil || s == t {
			return "", err
		}
		return fmt.Sprintf("%s: a link to %s in the first build, to %s in the second", name, s, t), nil
	}
	p, err := os.ReadFile(filepath.Join(one, name))
	if err != nil {
		return "", err
	}
	q, err := os.ReadFile(filepath.Join(two, name))
	if err != nil || bytes.Equal(p, q) {
		return "", err
	}
	at := 0
	for at < min(len(p), len(q)) && p[at] == q[at] {
		at++
	}
	return fmt.Sprintf("%s: first at byte %d%s: %s in the first build, %s in the second", name, at, section(p, at), around(p, at), around(q, at)), nil
}

// section names the section of an ELF file that holds a byte: where a difference
// lies mostly tells where it comes from.
func section(data []byte, at int) string {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL && uint64(at) >= s.Offset && uint64(at) < s.Offset+s.FileSize {
			return " (" + s.Name + ")"
		}
	}
	return " (headers)"
}

// around is what stands at a place, short enough for a line.
func around(data []byte, at int) string {
	const width = 40
	if at >= len(data) {
		return fmt.Sprintf("nothing, it ends after %d bytes", len(data))
	}
	return fmt.Sprintf("%q", data[at:min(len(data), at+width)])
}

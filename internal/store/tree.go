package store

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
)

// file is one entry of a part or bundle as it was when it was installed.
type file struct {
	Path   string      `json:"path"`
	Type   string      `json:"type"`
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"`
	SHA256 string      `json:"sha256,omitempty"`
	Target string      `json:"target,omitempty"`
	// MTime of a file in nanoseconds since 1970: another one means "hash it".
	MTime int64 `json:"mtime,omitempty"`
}

func (f file) entry() bundles.Entry {
	return bundles.Entry{Path: f.Path, Type: f.Type, Mode: f.Mode, Size: f.Size, SHA256: f.SHA256, Target: f.Target}
}

func mtime(root *os.Root, name string) (int64, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixNano(), nil
}

// digest is the contents digest of files, as bundles.TreeDigest has it.
func digest(files []file) (string, error) {
	entries := make([]bundles.Entry, len(files))
	for i, f := range files {
		entries[i] = f.entry()
	}
	return bundles.DigestEntries(entries)
}

// compare says how dir differs from what was recorded, "" if it does not. The
// quick way looks at names, types, modes, sizes and times, and reads bytes only
// where a time differs; full reads them all. The only error is that of ctx.
func compare(ctx context.Context, root *os.Root, dir string, want []file, full bool) (string, error) {
	_, why, err := compareTimes(ctx, root, dir, want, full)
	return why, err
}

// compareTimes is compare that also returns want with the times that the files have,
// which are other ones where somebody copied the same bytes over them.
func compareTimes(ctx context.Context, root *os.Root, dir string, want []file, full bool) (have []file, why string, err error) {
	have, why = compareNames(root, dir, want)
	if why != "" || slices.Equal(have, want) && !full {
		return have, why, ctx.Err()
	}
	got, err := bundles.ReadTree(ctx, filepath.Join(root.Name(), filepath.FromSlash(dir)))
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	if err != nil {
		return nil, err.Error(), nil
	}
	return have, firstDifference(want, got), nil
}

// compareNames looks at everything but bytes, and returns want with the times that
// the files have.
func compareNames(root *os.Root, dir string, want []file) (have []file, why string) {
	have = slices.Clone(want)
	var seen int
	byPath := make(map[string]*file, len(want))
	for i, f := range want {
		byPath[f.Path] = &have[i]
	}
	sub, err := fs.Sub(root.FS(), dir)
	if err != nil {
		return nil, err.Error()
	}
	err = fs.WalkDir(sub, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		f, ok := byPath[p]
		if !ok {
			return fmt.Errorf("%s does not belong there", p)
		}
		seen++
		info, err := d.Info()
		if err != nil {
			return err
		}
		if typeOf(info.Mode()) != f.Type {
			return fmt.Errorf("%s is not a %s any more", p, f.Type)
		}
		switch f.Type {
		case bundles.TypeLink:
			if target, err := root.Readlink(path.Join(dir, p)); err != nil || target != f.Target {
				return fmt.Errorf("%s leads to %q instead of %q", p, target, f.Target)
			}
		case bundles.TypeFile:
			if info.Size() != f.Size {
				return fmt.Errorf("%s has %d bytes instead of %d", p, info.Size(), f.Size)
			}
			if (info.Mode()&0o100 != 0) != (f.Mode&0o100 != 0) {
				return fmt.Errorf("%s has mode %#o instead of %#o", p, info.Mode().Perm(), f.Mode)
			}
			f.MTime = info.ModTime().UnixNano()
		}
		return nil
	})
	if err != nil {
		return nil, err.Error()
	}
	if seen < len(want) {
		for _, f := range want {
			if _, err := root.Lstat(path.Join(dir, f.Path)); err != nil {
				return nil, f.Path + " is missing"
			}
		}
	}
	return have, ""
}

func typeOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return bundles.TypeFile
	case m.IsDir():
		return bundles.TypeDir
	case m&fs.ModeSymlink != 0:
		return bundles.TypeLink
	}
	return m.Type().String()
}

func firstDifference(want []file, got []bundles.Entry) string {
	byPath := make(map[string]bundles.Entry, len(got))
	for _, e := range got {
		byPath[e.Path] = e
	}
	for _, f := range want {
		e, ok := byPath[f.Path]
		switch {
		case !ok:
			return f.Path + " is missing"
		case e.SHA256 != f.SHA256:
			return f.Path + " has other bytes than were installed"
		case e != f.entry():
			return f.Path + " is not what was installed"
		}
		delete(byPath, f.Path)
	}
	for p := range byPath {
		return p + " does not belong there"
	}
	return ""
}

func sortFiles(files []file) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
}

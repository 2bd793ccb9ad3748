package store

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Swept says what GC removed, or would remove.
type Swept struct {
	// Names are relative to the store.
	Names []string `json:"names"`
	// Bytes is what the disk gets back: a file that a bundle still links to
	// does not count.
	Bytes int64 `json:"bytes"`
}

// GC removes parts that no installed bundle refers to, downloads (whole or
// not), what a killed process left, and what no record speaks for in bundles/ and
// staging/. With dry it only says what it would remove. Elsewhere files whose names a
// store does not use are left alone. A store that is not there has nothing to remove.
func (s *Store) GC(ctx context.Context, dry bool) (Swept, error) {
	root, err := s.root()
	if errors.Is(err, fs.ErrNotExist) {
		return Swept{Names: []string{}}, nil
	}
	if err != nil {
		return Swept{}, err
	}
	defer root.Close()
	if dry { // no lock: nothing is written, not even its holder's number
		w := &session{Store: s, root: root}
		names, err := w.garbage()
		swept := Swept{Names: names}
		for _, name := range names {
			swept.Bytes += w.freed(name)
		}
		return swept, err
	}
	w, err := s.locked(ctx, nil) // staging is counted like all else
	if err != nil {
		return Swept{}, err
	}
	defer w.end()
	unlock, err := lockSources(w.root)
	if err != nil {
		return Swept{}, err
	}
	defer func() { _ = unlock() }()
	names, err := w.garbage()
	if err != nil {
		return Swept{}, err
	}
	swept := Swept{Names: names}
	for _, name := range names {
		swept.Bytes += w.freed(name)
		if err := w.discard(name); err != nil {
			return swept, err
		}
	}
	return swept, nil
}

// garbage lists what can go, sorted, a folder before what holds it.
func (w *session) garbage() ([]string, error) {
	found, names, err := w.records(w.root)
	if err != nil {
		return nil, err
	}
	if names == nil {
		names = []string{} // "names" is a list in JSON too
	}
	used := map[string]bool{}
	for _, e := range found {
		for digest := range e.rec.Parts {
			used[strings.Replace(digest, ":", "-", 1)] = true
		}
	}
	parts, err := readDir(w.root, partsDir)
	if err != nil {
		return nil, w.fileError("reading", partsDir, err)
	}
	for _, e := range parts {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".new"), ".json")
		_, err := w.root.Lstat(partsDir + "/" + name + ".json")
		whole := err == nil && !strings.HasSuffix(e.Name(), ".new")
		if strings.HasPrefix(name, "sha256-") && (!used[name] || !whole) {
			names = append(names, partsDir+"/"+e.Name())
		}
	}
	for dir, ours := range map[string]func(string) bool{
		stagingDir:   func(string) bool { return true },
		downloadsDir: func(n string) bool { return strings.HasPrefix(n, "sha256-") },
		sourcesDir:   func(n string) bool { return strings.HasSuffix(n, ".new") },
		".":          func(n string) bool { return strings.HasPrefix(n, markerName+".") && strings.HasSuffix(n, ".new") },
	} {
		list, err := readDir(w.root, dir)
		if err != nil {
			return nil, w.fileError("reading", dir, err)
		}
		for _, e := range list {
			if ours(e.Name()) {
				names = append(names, path.Join(dir, e.Name()))
			}
		}
	}
	slices.Sort(names)
	// "a/b" before "a": what a folder holds is counted and removed first.
	slices.Reverse(names)
	return names, nil
}

// freed is the size of the files below name that have no other link.
func (w *session) freed(name string) (n int64) {
	_ = fs.WalkDir(w.root.FS(), name, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it counts nothing
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(w.path(p), &st); err == nil && st.Nlink == 1 {
			n += info.Size()
		}
		return nil
	})
	return n
}

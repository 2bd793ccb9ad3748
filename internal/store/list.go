package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/flock"
)

// List names what is installed, sorted by id and release. A record that cannot
// be read is not an installed bundle; GC removes it.
func (s *Store) List() ([]Installed, error) {
	root, err := s.root()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	all, _, err := s.records(root)
	if err != nil {
		return nil, err
	}
	var list []Installed
	for _, r := range all {
		list = append(list, r.Installed)
	}
	return list, nil
}

// entry is a bundle's record and the folder it speaks for.
type entry struct {
	Installed
	dir string
	rec bundleRecord
}

// records reads every record below bundles/, and names what is there without one.
func (s *Store) records(root *os.Root) (found []entry, stray []string, err error) {
	ids, err := readDir(root, bundlesDir)
	if err != nil {
		return nil, nil, s.fileError("reading", bundlesDir, err)
	}
	for _, id := range ids {
		releases, err := readDir(root, bundlesDir+"/"+id.Name())
		if err != nil {
			stray = append(stray, bundlesDir+"/"+id.Name())
			continue
		}
		left := 0
		for _, release := range releases {
			dir := bundlesDir + "/" + id.Name() + "/" + release.Name()
			here, bad, err := s.recordsOf(root, dir, id.Name(), release.Name())
			if err != nil || len(here) == 0 {
				stray = append(stray, dir)
				continue
			}
			found, stray = append(found, here...), append(stray, bad...)
			left++
		}
		if left == 0 {
			stray = append(stray, bundlesDir+"/"+id.Name())
		}
	}
	return found, stray, nil
}

// recordsOf reads one folder bundles/<id>/<release>.
func (s *Store) recordsOf(root *os.Root, dir, id, release string) (found []entry, stray []string, err error) {
	list, err := readDir(root, dir)
	if err != nil {
		return nil, nil, err
	}
	good := map[string]bool{}
	for _, e := range list {
		key, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		var rec bundleRecord
		err := readJSON(root, dir+"/"+e.Name(), &rec)
		if err != nil || rec.ID != id || rec.Release != release {
			continue
		}
		if _, err := root.Lstat(dir + "/" + key); err != nil {
			continue
		}
		good[e.Name()], good[key] = true, true
		found = append(found, entry{s.installed(rec, dir+"/"+key), dir + "/" + key, rec})
	}
	for _, e := range list {
		if !good[e.Name()] {
			stray = append(stray, dir+"/"+e.Name())
		}
	}
	return found, stray, nil
}

// Hold marks a bundle as in use until release is called or the process ends:
// Remove then refuses it. Any number may hold it, and it works in a read-only
// store. Mending does not ask: a running server keeps the files it has open.
func (s *Store) Hold(in Installed) (release func() error, err error) {
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name := in.record
	f, err := root.Open(name)
	if err != nil {
		return nil, s.fileError("opening", name, err)
	}
	if ok, err := flock.TryShare(f); err != nil || !ok {
		f.Close()
		if err == nil { // Remove has it
			err = &NotInstalledError{in.ID, in.Release}
		}
		return nil, err
	}
	// It may have been removed between Install and here.
	mine, err := f.Stat()
	named, err2 := root.Lstat(name)
	if err != nil || err2 != nil || !os.SameFile(mine, named) {
		f.Close()
		return nil, &NotInstalledError{in.ID, in.Release}
	}
	return f.Close, nil
}

// Remove removes one release of a bundle, or with release "" all of them. Parts
// that nothing refers to any more stay until GC. Nothing is removed where one
// of them is in use ([*InUseError]).
func (s *Store) Remove(ctx context.Context, id, release string) error {
	if err := bundles.CheckBundleID(id); err != nil {
		return err
	}
	if release != "" {
		if err := bundles.CheckTag(release); err != nil {
			return err
		}
	}
	if list, err := s.List(); err != nil || len(list) == 0 {
		if err == nil {
			err = &NotInstalledError{id, release}
		}
		return err
	}
	w, err := s.begin(ctx, nil)
	if err != nil {
		return err
	}
	defer w.end()
	all, _, err := s.records(w.root)
	if err != nil {
		return err
	}
	var chosen []entry
	for _, e := range all {
		if e.ID == id && (release == "" || e.Release == release) {
			chosen = append(chosen, e)
		}
	}
	if len(chosen) == 0 {
		return &NotInstalledError{id, release}
	}
	return w.remove(chosen)
}

// remove takes bundles away if none of them is held.
func (w *session) remove(chosen []entry) error {
	var locks []*os.File
	defer func() {
		for _, f := range locks {
			f.Close()
		}
	}()
	for _, e := range chosen {
		f, err := w.root.OpenFile(e.record, os.O_RDWR, 0) // see flock.TryLock
		if err != nil {
			return w.fileError("opening", e.record, err)
		}
		locks = append(locks, f)
		if ok, err := flock.TryLock(f); err != nil {
			return err
		} else if !ok {
			return &InUseError{e.ID, e.Release, e.Dir}
		}
	}
	for _, e := range chosen {
		for _, name := range []string{e.record, e.dir} {
			if err := w.discard(name); err != nil {
				return err
			}
		}
		// The folders above go if they are empty; if not, the error says so
		// and they stay.
		release := bundlesDir + "/" + e.ID + "/" + e.Release
		_ = w.root.Remove(release)
		_ = w.root.Remove(bundlesDir + "/" + e.ID)
	}
	return nil
}

// RemoveAll removes everything that the store made, and leaves its folder and
// whatever else lies in it. With it goes the memory of sequences. Nothing is removed where a bundle is in use.
func (s *Store) RemoveAll(ctx context.Context) error {
	root, err := s.root()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	root.Close()
	w, err := s.begin(ctx, nil)
	if err != nil {
		return err
	}
	defer w.end()
	all, _, err := s.records(w.root)
	if err != nil {
		return err
	}
	if err := w.remove(all); err != nil {
		return err
	}
	for _, name := range append(folders[:], markerName, lockName) {
		if err := w.root.RemoveAll(name); err != nil {
			return w.fileError("removing", name, err)
		}
	}
	return nil
}

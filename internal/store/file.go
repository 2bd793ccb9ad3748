package store

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// scratch is a fresh name in staging.
func scratch() string { return stagingDir + "/" + rand.Text() }

// writeJSON replaces a file of the store at once and durably: a reader sees the
// old or the new one, whole. unique tells writers apart that share no lock.
func (s *Store) writeJSON(root *os.Root, name, unique string, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing %s: %w", s.path(name), err)
	}
	// Beside its place, not in staging: that may not exist yet, or be cleared.
	temp := name + unique + ".new"
	if err := writeSynced(root, temp, buf.Bytes()); err != nil {
		return s.fileError("writing", name, err)
	}
	if err := root.Rename(temp, name); err != nil {
		return s.fileError("renaming", temp, err)
	}
	if err := syncDir(root, path.Dir(name)); err != nil {
		return s.fileError("writing", path.Dir(name), err)
	}
	return nil
}

// write replaces a file of the store; the lock makes its temporary name unique.
func (w *session) write(name string, v any) error { return w.writeJSON(w.root, name, "", v) }

func writeSynced(root *os.Root, name string, b []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func readJSON(root *os.Root, name string, v any) error {
	raw, err := root.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// syncDir flushes a folder's names. Some file systems cannot and say EINVAL.
func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// readDir lists a folder, sorted; one that is not there is empty.
func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// move renames a folder into its place and makes that durable, with the names in
// those of the folders inside that are not yet: whoever reads a record, which is
// written next, finds what it is of. What is there already is moved to staging, for
// the next clear.
func (w *session) move(from, to string, inside ...string) error {
	if err := w.discard(to); err != nil {
		return err
	}
	if err := w.root.MkdirAll(path.Dir(to), 0o755); err != nil {
		return w.fileError("making", path.Dir(to), err)
	}
	if err := w.root.Rename(from, to); err != nil {
		return w.fileError("renaming", from, err)
	}
	var dirs []string
	for _, d := range inside {
		dirs = append(dirs, path.Join(to, d))
	}
	for dir := to; dir != "."; {
		dir = path.Dir(dir)
		dirs = append(dirs, dir)
	}
	var all errgroup.Group // at once: they wait for the same commit of a journal
	all.SetLimit(16)
	for _, dir := range dirs {
		all.Go(func() error {
			if err := syncDir(w.root, dir); err != nil {
				return w.fileError("writing", dir, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// discard removes a file or folder; by way of staging, so that it is gone at
// once and never seen half there.
func (w *session) discard(name string) error {
	temp := scratch()
	if err := w.root.Rename(name, temp); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return w.fileError("removing", name, err)
	}
	if err := w.root.RemoveAll(temp); err != nil {
		return w.fileError("removing", temp, err)
	}
	return nil
}

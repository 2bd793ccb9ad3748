package bundles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// FragmentSuffix ends the name of a fragment file: "<bundle id>.bundle.json".
const FragmentSuffix = ".bundle.json"

// FragmentPath is where the fragment of a bundle lies in dist/.
func FragmentPath(dir, bundleID string) string { return filepath.Join(dir, bundleID+FragmentSuffix) }

// WriteFragment writes f into dir, which must exist, beside the part files it
// names; an earlier fragment of the same bundle is replaced whole or not at
// all. Schema 0 is written as the current one. It returns the file's path.
func WriteFragment(dir string, f Fragment) (string, error) {
	if f.Schema == 0 {
		f.Schema = facts.Schema
	}
	if err := f.Validate(); err != nil {
		return "", fmt.Errorf("writing fragment: %w", err)
	}
	data, err := canonicalJSON(f)
	if err != nil {
		return "", fmt.Errorf("writing fragment of %q: %w", f.Bundle.ID, err)
	}
	path := FragmentPath(dir, f.Bundle.ID)
	if err := replaceFile(path, data, 0o644); err != nil {
		return "", fmt.Errorf("writing fragment of %q: %w", f.Bundle.ID, err)
	}
	return path, nil
}

// ReadFragment reads one fragment file and validates it. Its name must be that
// of its bundle.
func ReadFragment(path string) (Fragment, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Fragment{}, fmt.Errorf("reading fragment: %w", err)
	}
	var f Fragment
	if err := decode("fragment", data, &f); err != nil {
		return Fragment{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.Validate(); err != nil {
		return Fragment{}, fmt.Errorf("%s: %w", path, err)
	}
	if want := f.Bundle.ID + FragmentSuffix; filepath.Base(path) != want {
		return Fragment{}, fmt.Errorf("%s: holds bundle %q, so its name should be %s", path, f.Bundle.ID, want)
	}
	return f, nil
}

// ReadFragments reads all fragments of a folder, sorted by bundle id. None is
// an error.
func ReadFragments(dir string) ([]Fragment, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading fragments: %w", err)
	}
	var frags []Fragment
	var faults []error
	for _, d := range files {
		if !strings.HasSuffix(d.Name(), FragmentSuffix) || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		f, err := ReadFragment(filepath.Join(dir, d.Name()))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		frags = append(frags, f)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if len(frags) == 0 {
		return nil, fmt.Errorf("reading fragments: no *%s in %q", FragmentSuffix, dir)
	}
	slices.SortFunc(frags, func(a, b Fragment) int { return strings.Compare(a.Bundle.ID, b.Bundle.ID) })
	return frags, nil
}

// replaceFile puts data in place of path in one step that survives a crash:
// temporary file, fsync, rename, fsync of the folder.
func replaceFile(path string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, werr := f.Write(data)
	if err := errors.Join(werr, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

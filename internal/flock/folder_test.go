package flock_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/waqasm86/llcuda/internal/flock"
)

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFolderHasOneHolder(t *testing.T) {
	path := mkdir(t, filepath.Join(t.TempDir(), ".work-1"))
	held, err := flock.Folder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flock.Folder(path); !errors.Is(err, flock.ErrBusy) {
		t.Errorf("a second holder: %v", err)
	}
	held.Close()
	again, err := flock.Folder(path)
	if err != nil {
		t.Fatalf("after its holder closed it: %v", err)
	}
	again.Close()
}

func TestWhatIsNoFolderOfThatNameIsNotHeld(t *testing.T) {
	dir := t.TempDir()
	if _, err := flock.Folder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.Symlink(mkdir(t, filepath.Join(dir, "real")), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if f, err := flock.Folder(filepath.Join(dir, "link")); err == nil {
		f.Close()
		t.Error("a link was followed")
	}
}

func TestSweepLeavesWhatSomebodyHoldsAndWhatIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	left := mkdir(t, filepath.Join(dir, ".work-left"))
	mkdir(t, filepath.Join(left, "deep"))
	held := mkdir(t, filepath.Join(dir, ".work-held"))
	but := mkdir(t, filepath.Join(dir, ".work-but"))
	other := mkdir(t, filepath.Join(dir, "other"))
	file := filepath.Join(dir, ".work-file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	lock, err := flock.Folder(held)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := flock.Sweep(dir, ".work-", but); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a leftover stays: %v", err)
	}
	for _, path := range []string{held, but, other, file} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("removed: %v", err)
		}
	}
}

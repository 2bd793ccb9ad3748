package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestATouchedFileIsReadAndFoundWhole(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	got := install(t, s, r.input())
	at := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(filepath.Join(got.Dir, "libggml-cuda.so"), at, at); err != nil {
		t.Fatal(err)
	}
	if again := install(t, s, r.input()); again.Fresh {
		t.Error("a new time alone is no damage")
	}
}

// What a bundle's record says of its files is true of the files that a part has now:
// else each start would read all of their bytes.
func TestABundleOfATouchedPartIsNotReadEachTime(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	got := install(t, s, r.input())
	at := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	if err := os.Chtimes(filepath.Join(got.Dir, "libggml-cuda.so"), at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(got.Dir + ".json"); err != nil {
		t.Fatal(err)
	}
	again := install(t, s, r.input())
	if !again.Fresh || again.Dir != got.Dir {
		t.Fatalf("got %+v", again)
	}
	var rec bundleRecord
	root, err := s.root()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := readJSON(root, again.record, &rec); err != nil {
		t.Fatal(err)
	}
	if have, why := compareNames(root, strings.TrimSuffix(again.record, ".json"), rec.Files); why != "" || !slices.Equal(have, rec.Files) {
		t.Errorf("%s: recorded are %v, there are %v", why, rec.Files, have)
	}
}

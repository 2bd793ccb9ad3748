package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles"
)

func TestDefaultDir(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"LLCUDA_HOME comes first", map[string]string{"LLCUDA_HOME": "/a", "XDG_DATA_HOME": "/b", "HOME": "/c"}, "/a"},
		{"then XDG_DATA_HOME", map[string]string{"XDG_DATA_HOME": "/b", "HOME": "/c"}, "/b/llcuda"},
		{"a relative XDG_DATA_HOME is ignored", map[string]string{"XDG_DATA_HOME": "b", "HOME": "/c"}, "/c/.local/share/llcuda"},
		{"then HOME", map[string]string{"HOME": "/c"}, "/c/.local/share/llcuda"},
		{"an empty LLCUDA_HOME does not count", map[string]string{"LLCUDA_HOME": "", "HOME": "/c"}, "/c/.local/share/llcuda"},
		{"nothing at all is an error", nil, ""},
		{"a relative HOME is an error", map[string]string{"HOME": "c"}, ""},
	} {
		got, err := DefaultDir(c.env)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestAStoreThatIsNotThereIsEmpty(t *testing.T) {
	s := newStore(t)
	list, err := s.List()
	if len(list) != 0 || err != nil {
		t.Error(list, err)
	}
	if swept, err := s.GC(t.Context(), false); len(swept.Names) != 0 || err != nil {
		t.Error(swept, err)
	}
	if err := s.RemoveAll(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), bundleID, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.Verify(t.Context(), Installed{}, false); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if s.Sequence("x") != 0 {
		t.Error("a sequence from nowhere")
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("looking made a store")
	}
}

func TestAFolderThatIsNoStoreIsLeftAlone(t *testing.T) {
	for _, name := range folders {
		r, dir := newRelease(t), t.TempDir()
		precious := filepath.Join(dir, name, "sha256-precious")
		writeTree(t, dir, map[string]string{name + "/sha256-precious": "mine"})
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var no *StoreError
		if _, err := s.Install(t.Context(), r.input()); !errors.As(err, &no) || no.Hint() == "" {
			t.Errorf("%s: install says %v", name, err)
		}
		if err := s.SaveManifest("x", nil, nil, 1); !errors.As(err, &no) {
			t.Errorf("%s: saving says %v", name, err)
		}
		if _, err := s.GC(t.Context(), false); err != nil {
			t.Error(err)
		}
		if err := s.RemoveAll(t.Context()); err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(precious); string(b) != "mine" || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestOtherFilesInTheStoresFolderStay(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	writeTree(t, s.dir, map[string]string{"models/gemma.gguf": "GGUF"})
	install(t, s, r.input())
	writeTree(t, s.dir, map[string]string{"parts/README": "mine", "downloads/notes": "mine"})
	if _, err := s.GC(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	wantNames(t, s, append([]string{"models/gemma.gguf", "downloads/notes", "parts/D"}, oneInstalled...)...)
	if err := s.RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNames(t, s, "models/gemma.gguf")
	install(t, s, r.input())
}

func TestAStoreOfANewerLayoutIsRefused(t *testing.T) {
	for text, want := range map[string]string{`{"layout":2}`: "update llcuda-run", `{}`: "LLCUDA_HOME", `x`: "LLCUDA_HOME"} {
		dir := t.TempDir()
		writeTree(t, dir, map[string]string{"store.json": text})
		_, err := Open(dir)
		var no *StoreError
		if !errors.As(err, &no) || !strings.Contains(no.Hint(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestListRemoveAndGC(t *testing.T) {
	t.Parallel()
	r, s := newRelease(t), newStore(t)
	first := install(t, s, r.input())
	next := *r.m
	next.Release = "v2"
	next.Bundles = []bundles.Bundle{r.m.Bundles[0]}
	next.Bundles[0].App = r.add(t, bundles.PartApp, "app2.tar.zst", appFiles(50))
	in := r.input()
	in.Manifest = &next
	second := install(t, s, in)

	list, err := s.List()
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	first.Fresh, second.Fresh = false, false
	if d := cmp.Diff([]Installed{first, second}, list, cmp.AllowUnexported(Installed{})); d != "" {
		t.Error(d)
	}
	if err := s.Remove(t.Context(), bundleID, "v3"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"../x", "v1"}, {bundleID, "../.."}, {"", ""}, {"/etc", "v1"}, {".", "v1"}, {bundleID, "."}} {
		if err := s.Remove(t.Context(), bad[0], bad[1]); err == nil {
			t.Errorf("removed %q", bad)
		}
	}
	if err := s.Remove(t.Context(), bundleID, "v1"); err != nil {
		t.Fatal(err)
	}
	if list, _ := s.List(); len(list) != 1 || list[0].Release != "v2" {
		t.Error(list)
	}
	dry, err := s.GC(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, s.dir)
	if again, _ := s.GC(t.Context(), true); snapshot(t, s.dir) != before || len(again.Names) != 2 {
		t.Error("a dry run writes", again)
	}
	swept, err := s.GC(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(dry, swept); d != "" {
		t.Error(d)
	}
	app := r.m.Parts[r.m.Bundles[0].App]
	if len(swept.Names) != 2 || swept.Bytes < app.Unpacked || swept.Bytes > app.Unpacked+10_000 {
		t.Errorf("swept %+v, the part has %d bytes", swept, app.Unpacked)
	}
	wantTree(t, second.Dir, merged(50))
	if err := s.Remove(t.Context(), bundleID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	wantNames(t, s, "store.json", "lock")
	if entries, err := os.ReadDir(filepath.Join(s.dir, bundlesDir)); err != nil || len(entries) != 0 {
		t.Error("empty folders stay", entries, err)
	}
}

func TestAHeldBundleIsNotRemoved(t *testing.T) {
	t.Parallel()
	r, s := newRelease(t), newStore(t)
	got := install(t, s, r.input())
	release1, err1 := s.Hold(got)
	release2, err2 := s.Hold(got)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := release1(); err != nil {
		t.Fatal(err)
	}
	var busy *InUseError
	if err := s.Remove(t.Context(), bundleID, "v1"); !errors.As(err, &busy) {
		t.Error(err)
	}
	if err := s.RemoveAll(t.Context()); !errors.As(err, &busy) {
		t.Error(err)
	}
	if err := s.Verify(t.Context(), got, true); err != nil {
		t.Error(err)
	}
	if err := release2(); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), bundleID, "v1"); err != nil {
		t.Error(err)
	}
	if _, err := s.Hold(got); !errors.Is(err, fs.ErrNotExist) {
		t.Error("held what is gone:", err)
	}
}

func TestALinkOutOfTheStoreIsNotFollowed(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	install(t, s, r.input())
	outside := t.TempDir()
	writeTree(t, outside, map[string]string{bundleID + "/v1/precious": "mine", "sha256-precious": "mine"})
	for _, name := range []string{bundlesDir, partsDir, downloadsDir} {
		if err := errors.Join(os.RemoveAll(filepath.Join(s.dir, name)), os.Symlink(outside, filepath.Join(s.dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	s.GC(t.Context(), false)
	s.Remove(t.Context(), bundleID, "")
	s.RemoveAll(t.Context())
	if _, err := s.Install(t.Context(), r.input()); err == nil {
		t.Error("installed through the links")
	}
	wantTree(t, outside, map[string]string{bundleID + "/v1/precious": "mine", "sha256-precious": "mine"})
}

func TestManifestsOfSources(t *testing.T) {
	s := newStore(t)
	if _, _, err := s.LastManifest("github:o/r"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	raw := []byte("{\"schema\":1}\r\n\x00 exact bytes")
	if err := s.SaveManifest("github:o/r", raw, []byte("sig"), 7); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveManifest("dir:/x", []byte("other"), []byte("s2"), 2); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, s.dir)
	if err := s.SaveManifest("github:o/r", raw, []byte("sig"), 7); err != nil || snapshot(t, s.dir) != before {
		t.Error("the same again was written", err)
	}
	var old *DowngradeError
	if err := s.SaveManifest("github:o/r", []byte("old"), nil, 6); !errors.As(err, &old) || old.Seen != 7 || old.ExitCode() != 4 {
		t.Error(err)
	}
	gotRaw, gotSig, err := s.LastManifest("github:o/r")
	if string(gotRaw) != string(raw) || string(gotSig) != "sig" || err != nil {
		t.Errorf("%q %q %v", gotRaw, gotSig, err)
	}
	if s.Sequence("github:o/r") != 7 || s.Sequence("dir:/x") != 2 || s.Sequence("none") != 0 {
		t.Error("wrong sequences")
	}
	// A damaged record is not a fresh start.
	if err := os.WriteFile(s.path(sourceFile("dir:/x")), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveManifest("dir:/x", []byte("older"), nil, 1); err == nil || !strings.Contains(err.Error(), sourceFile("dir:/x")) {
		t.Error(err)
	}
}

func TestTheReleaseInUseIsRememberedApartFromTheLastSeen(t *testing.T) {
	s := newStore(t)
	if _, _, err := s.UsedManifest("dir:/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.SaveManifest("dir:/x", []byte("one"), []byte("s1"), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.UseManifest("dir:/x", []byte("one"), []byte("s1"), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveManifest("dir:/x", []byte("two"), []byte("s2"), 2); err != nil {
		t.Fatal(err)
	}
	raw, sig, err := s.UsedManifest("dir:/x")
	if string(raw) != "one" || string(sig) != "s1" || err != nil || s.Sequence("dir:/x") != 2 {
		t.Errorf("%q %q %v, sequence %d", raw, sig, err, s.Sequence("dir:/x"))
	}
	before := snapshot(t, s.dir)
	if err := s.UseManifest("dir:/x", []byte("one"), []byte("s1"), 1); err != nil || snapshot(t, s.dir) != before {
		t.Error("the same again was written", err)
	}
	if _, err := s.GC(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.UsedManifest("dir:/x"); err != nil {
		t.Error("gc took it:", err)
	}
	if err := s.RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.UsedManifest("dir:/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("rm --all left it:", err)
	}
}

func TestTheHighestSequenceWinsAmongMany(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	for seq := range int64(20) {
		wg.Go(func() {
			err := s.SaveManifest("x", []byte("m"), []byte("s"), seq)
			var old *DowngradeError
			if err != nil && !errors.As(err, &old) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := s.Sequence("x"); got != 19 {
		t.Errorf("sequence %d", got)
	}
}

func TestSavingWhileAnotherInstallsDoesNotWait(t *testing.T) {
	s := newStore(t)
	w, err := s.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.end()
	if err := s.SaveManifest("x", []byte("m"), []byte("s"), 1); err != nil {
		t.Fatal(err)
	}
}

func TestGCCountsWhatAKilledInstallLeft(t *testing.T) {
	t.Parallel()
	r, s := newRelease(t), newStore(t)
	install(t, s, r.input())
	writeTree(t, filepath.Join(s.dir, stagingDir), map[string]string{"KILLED/libggml-cuda.so": strings.Repeat("x", 5_000)})
	want := Swept{Names: []string{stagingDir + "/KILLED"}, Bytes: 5_000}
	for _, dry := range []bool{true, false} {
		swept, err := s.GC(t.Context(), dry)
		if d := cmp.Diff(want, swept); d != "" || err != nil {
			t.Errorf("dry %v: %v\n%s", dry, err, d)
		}
	}
	wantNames(t, s, oneInstalled...)
}

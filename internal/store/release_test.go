package store

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/fetch"
)

func asHint(err error, h *interface{ Hint() string }) bool { return errors.As(err, h) }

// testRelease is a release on a real HTTP server that counts.
type testRelease struct {
	*httptest.Server
	m *bundles.Manifest

	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int
}

const bundleID = "cuda12.4-sm75"

// noise is n bytes that depend on seed and do not compress.
func noise(seed byte, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

func appFiles(seed byte) map[string]string {
	return map[string]string{
		"llama-server*":         "#!/bin/sh\n" + noise(seed, 20_000),
		"libggml-cuda.so":       noise(seed+1, 150_000),
		"libggml-base.so":       strings.Repeat("zeros", 80_000), // larger than its packed part
		"libllama.so.1.0":       noise(seed+2, 30_000),
		"libllama.so.1":         "-> libllama.so.1.0",
		"LICENSES/llama.cpp":    "MIT",
		"bundle.json":           `{"schema":1}`,
		"LICENSES/shared-terms": "same",
	}
}

func runtimeFiles() map[string]string {
	return map[string]string{
		"libcublas.so.12.4":     noise(99, 120_000),
		"libcublas.so.12":       "-> libcublas.so.12.4",
		"LICENSES/NVIDIA":       "EULA",
		"LICENSES/shared-terms": "same",
		"bundle.json":           `{"schema":1,"runtime":true}`,
	}
}

// newRelease serves release v1 with one bundle of an app and a runtime part.
func newRelease(t *testing.T) *testRelease {
	t.Helper()
	r := &testRelease{files: map[string][]byte{}, asked: map[string]int{}}
	r.m = &bundles.Manifest{Schema: 1, Release: "v1", Sequence: 1, Parts: map[string]bundles.Part{}}
	app := r.add(t, bundles.PartApp, "app1.tar.zst", appFiles(1))
	rt := r.add(t, bundles.PartRuntime, "runtime.tar.zst", runtimeFiles())
	r.m.Bundles = []bundles.Bundle{{ID: bundleID, Cell: bundleID, App: app, Runtime: []string{bundles.RuntimeHost, rt}}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.answer))
	t.Cleanup(r.Close)
	return r
}

func (r *testRelease) answer(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	r.mu.Lock()
	r.asked[name]++
	data, ok := r.files[name]
	r.mu.Unlock()
	if !ok {
		http.NotFound(w, req)
		return
	}
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
}

// requests is "app1.tar.zst:1 runtime.tar.zst:1".
func (r *testRelease) requests() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for name, n := range r.asked {
		all = append(all, fmt.Sprintf("%s:%d", name, n))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// add packs files as a part, really, and returns its digest.
func (r *testRelease) add(t *testing.T, kind, name string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	writeTree(t, dir, files)
	var buf bytes.Buffer
	p, err := bundles.Pack(t.Context(), dir, &buf, bundles.PackOptions{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.addRaw(bundles.Part{Kind: kind, Name: name, Size: p.Size, Contents: p.Contents, Unpacked: p.Unpacked}, buf.Bytes())
}

func (r *testRelease) addRaw(p bundles.Part, packed []byte) string {
	sum := sha256.Sum256(packed)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[p.Name] = packed
	r.m.Parts[digest] = p
	return digest
}

// writeTree writes files; a name that ends in * is executable, a text that
// starts with "-> " is a link.
func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if n, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = n, 0o755
		}
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// merged is what the folder of app and runtime together must hold.
func merged(seed byte) map[string]string {
	all := runtimeFiles()
	for name, text := range appFiles(seed) {
		all[name] = text
	}
	return all
}

// wantTree compares a folder with files, in writeTree's notation.
func wantTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			got[name] = "-> " + target
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode()&0o111 != 0 {
			name += "*"
		}
		b, err2 := os.ReadFile(p)
		got[name] = string(b)
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if got[name] != text {
			t.Errorf("%s: %d bytes, want %d bytes", name, len(got[name]), len(text))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s does not belong there", name)
	}
}

// newStore is an open store in a fresh folder.
func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "home", "llcuda"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *testRelease) input() InstallInput {
	return InstallInput{
		Manifest: r.m, BundleID: bundleID, Runtime: r.m.Bundles[0].Runtime[1], Source: "dir:test", OpenPart: from(r.URL),
		Fetch: fetch.Options{Backoff: time.Millisecond, Retries: 2},
		Now:   func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
	}
}

func install(t *testing.T, s *Store, in InstallInput) Installed {
	t.Helper()
	got, err := s.Install(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// snapshot lists everything below the store with type, size and time: equal
// before and after means that nothing was written.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&out, p, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// wantNames checks every name below the store that is not inside a part or a
// bundle, with digests and keys shortened to D.
func wantNames(t *testing.T, s *Store, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(s.dir, p)
		parts := strings.Split(name, "/")
		last := len(parts) - 1
		inside := parts[0] == partsDir && last == 1 || parts[0] == bundlesDir && last == 3
		if !d.IsDir() || inside {
			stem, ext, _ := strings.Cut(parts[last], ".")
			if strings.HasPrefix(stem, "sha256-") || inside {
				stem = "D"
			}
			if ext != "" {
				stem += "." + ext
			}
			parts[last] = stem
			got = append(got, strings.Join(parts, "/"))
		}
		if d.IsDir() && inside {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the store holds\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// oneInstalled are the names of a store with one bundle of two parts.
var oneInstalled = []string{
	"store.json", "lock", "parts/D", "parts/D.json", "parts/D", "parts/D.json",
	"bundles/cuda12.4-sm75/v1/D", "bundles/cuda12.4-sm75/v1/D.json",
}

func tarZst(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	z, err := zstd.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (r *testRelease) childInput(s *Store) childInput {
	return childInput{Dir: s.dir, URL: r.URL, BundleID: bundleID, Runtime: r.m.Bundles[0].Runtime[1], Manifest: r.m}
}

func childCommand(t *testing.T, in childInput) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
	return cmd
}

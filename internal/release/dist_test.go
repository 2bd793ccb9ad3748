package release

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
)

const repository = "github:owner/repo"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) bundles.PrivateKey {
	t.Helper()
	k, err := bundles.GenerateKey(nil)
	must(t, err)
	return k
}

// writeDist makes a dist/ folder with two bundles that share a runtime, and
// returns it. llama is what the app parts hold.
func writeDist(t testing.TB, llama string) string {
	t.Helper()
	dist := t.TempDir()
	made, ok := dists.Load(llama)
	if !ok {
		made, _ = dists.LoadOrStore(llama, makeDist(t, llama))
	}
	for name, data := range made.(map[string][]byte) {
		must(t, os.WriteFile(filepath.Join(dist, name), data, 0o644))
	}
	return dist
}

// dists are the files of every dist made so far: packing and flushing one takes
// longer than most tests.
var dists sync.Map

func makeDist(t testing.TB, llama string) map[string][]byte {
	dist := t.TempDir()
	runtime := pack(t, dist, "cublas-12.4.tar.zst", map[string]string{"libcublas.so.12": "cublas"})
	runtime.Kind, runtime.Form = bundles.PartRuntime, "stock"
	for _, id := range []string{"cuda12.4-all", "cuda12.4-sm75"} {
		app := pack(t, dist, "llama-"+id+".tar.zst", map[string]string{"llama-server": llama + id, "libggml-cuda.so": "sass of " + id})
		app.Kind = bundles.PartApp
		_, err := bundles.WriteFragment(dist, bundles.Fragment{
			Bundle: bundles.Bundle{ID: id, Cell: id, Platform: "linux/amd64", Toolkit: "12.4.1", App: app.key,
				Source: bundles.Source{Fixture: true}, Runtime: []string{bundles.RuntimeHost, runtime.key}},
			Parts: map[string]bundles.Part{app.key: app.Part, runtime.key: runtime.Part},
		})
		must(t, err)
	}
	files := map[string][]byte{}
	for _, name := range tree(t, dist) {
		data, err := os.ReadFile(filepath.Join(dist, name))
		must(t, err)
		files[name] = data
	}
	return files
}

func pack(t testing.TB, dist, name string, files map[string]string) namedPart {
	t.Helper()
	dir := t.TempDir()
	for n, text := range files {
		must(t, os.WriteFile(filepath.Join(dir, n), []byte(text), 0o644))
	}
	var b bytes.Buffer
	p, err := bundles.Pack(t.Context(), dir, &b, bundles.PackOptions{Level: 1})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dist, name), b.Bytes(), 0o644))
	return namedPart{p.Digest, bundles.Part{Name: name, Size: p.Size, Contents: p.Contents, Unpacked: p.Unpacked}}
}

// published is a folder with releases v1 and v2, both of key.
func published(t testing.TB, key bundles.PrivateKey) string {
	t.Helper()
	path := t.TempDir()
	for _, tag := range []string{"v1", "v2"} {
		_, err := PublishDir(t.Context(), PublishInput{Path: path, Tag: tag, DistDir: writeDist(t, tag), Key: key, Repository: repository, Tool: "test"})
		must(t, err)
	}
	return path
}

// verified reads a release as a runner does: signature, then every part.
func verified(t testing.TB, s Source, tag string, key bundles.PrivateKey) *bundles.Manifest {
	t.Helper()
	raw, sig, name, err := s.Manifest(t.Context(), tag)
	must(t, err)
	m, err := bundles.Open(raw, sig, []bundles.PublicKey{key.Public()}, bundles.Want{Repository: repository, Release: name})
	must(t, err)
	for k, p := range m.Parts {
		holder := m.Release
		if p.Release != nil {
			holder = *p.Release
		}
		r, size, err := s.Open(t.Context(), holder, p.Name, 0)
		must(t, err)
		data, err := io.ReadAll(r)
		r.Close()
		must(t, err)
		if size != p.Size || int64(len(data)) != p.Size || k != digestOf(data) {
			t.Errorf("%s of %s is not what the manifest says", p.Name, m.Release)
		}
	}
	return m
}

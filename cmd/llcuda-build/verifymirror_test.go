package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/release"
	"github.com/waqasm86/llcuda/matrix"
)

// publishedFixture is a release of one part that holds real files, in a folder.
func publishedFixture(t *testing.T) (dir string, key bundles.PrivateKey) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	app, dist, dir := t.TempDir(), t.TempDir(), t.TempDir()
	lib, err := os.ReadFile("../../internal/inspect/testdata/mix.so")
	must(err)
	must(os.WriteFile(filepath.Join(app, "libggml-cuda.so"), lib, 0o644))
	// More than is held in memory: read by more than one pass.
	must(os.WriteFile(filepath.Join(app, "libpadded.so"), append(bytes.Clone(lib), make([]byte, 20<<20)...), 0o644))
	info := bundles.Info{Schema: facts.Schema, Cell: "cuda11.8-sm75", Platform: "linux/amd64", Toolkit: "11.8.0",
		Image: bundles.Image{Ref: matrix.BuilderHost}, Source: bundles.Source{Fixture: true}, Key: "sha256:x", Tool: version}
	data, err := json.Marshal(info)
	must(err)
	must(os.WriteFile(filepath.Join(app, bundles.InfoName), data, 0o644))
	report, err := readFacts(app)
	must(err)
	part, err := os.Create(filepath.Join(dist, "part.tar.zst"))
	must(err)
	packed, err := bundles.Pack(t.Context(), app, part, bundles.PackOptions{Level: 1})
	must(errors.Join(err, part.Close()))
	_, err = bundles.WriteFragment(dist, bundles.Fragment{
		Bundle: bundles.Bundle{ID: info.Cell, Cell: info.Cell, Platform: info.Platform, Toolkit: info.Toolkit, Image: info.Image, Source: info.Source, App: packed.Digest},
		Parts:  map[string]bundles.Part{packed.Digest: appPart("part.tar.zst", packed, report)},
	})
	must(err)
	key, err = bundles.GenerateKey(rand.Reader)
	must(err)
	_, err = release.PublishDir(t.Context(), release.PublishInput{Path: dir, Tag: "v1", DistDir: dist, Key: key, Tool: "llcuda-build " + version})
	must(err)
	return dir, key
}

func verifyAt(ctx context.Context, t *testing.T, target string, key bundles.PublicKey) (codes string, err error) {
	t.Helper()
	var out bytes.Buffer
	s := cli.NewStreams(strings.NewReader(""), &out, io.Discard, nil)
	err = runVerify(ctx, s, verifyOptions{matrixFile: "../../matrix/cuda.yaml", target: target, cuobjdump: "off", keys: []string{key.String()}, json: true})
	var got struct {
		Misses []struct{ Code, Part, File string }
	}
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range got.Misses {
		if m.Code != "file-missing" { // the fixture is not a whole bundle
			codes += m.Code + " " + m.File + "\n"
		}
		if m.Part != "part.tar.zst" {
			t.Errorf("a miss names the part %q", m.Part)
		}
	}
	return codes, err
}

// A release that is far away is fetched once, read as often as it takes, and
// gives the verdict of the same release nearby.
func TestAMirrorIsVerifiedLikeItsFolder(t *testing.T) {
	dir, key := publishedFixture(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	defer server.Close()
	near, errNear := verifyAt(t.Context(), t, dir, key.Public())
	far, errFar := verifyAt(t.Context(), t, server.URL, key.Public())
	if near != far || errNear == nil || errFar == nil || errNear.Error() != errFar.Error() {
		t.Errorf("nearby:\n%s%v\nfar away:\n%s%v", near, errNear, far, errFar)
	}
	if strings.Contains(near, missFacts) || strings.Contains(near, missUnreadable) || strings.Contains(near, missContents) {
		t.Errorf("what was published is not what was read back:\n%s", near)
	}
	if !strings.Contains(near, "ptx-unexpected libggml-cuda.so") || !strings.Contains(near, "ptx-unexpected libpadded.so") {
		t.Errorf("the files were not held against their cell:\n%s", near)
	}
	if asked["/v1/part.tar.zst"] != 1 {
		t.Errorf("the part was fetched %d times", asked["/v1/part.tar.zst"])
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAPartThatTheMirrorSpoiltIsAMiss(t *testing.T) {
	dir, key := publishedFixture(t)
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(dir, "v1", "part.tar.zst")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	if codes, err := verifyAt(t.Context(), t, server.URL, key.Public()); codes != missUnreadable+" \n" || cli.Code(t.Context(), err) != cli.ExitFailed {
		t.Errorf("got %q, %v", codes, err)
	}
}

func TestVerifyEndsWhenItIsInterrupted(t *testing.T) {
	dir, key := publishedFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if codes, err := verifyAt(ctx, t, dir, key.Public()); !errors.Is(err, context.Canceled) || codes != "" {
		t.Errorf("got %q, %v", codes, err)
	}
}

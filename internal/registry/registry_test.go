package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// shelf is a registry that holds an index of two platforms, as NVIDIA's tags are.
type shelf struct {
	blobs map[string]string // digest → content
	types map[string]string // digest → media type
	index string
}

func (s *shelf) put(mediaType, content string) string {
	sum := sha256.Sum256([]byte(content))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	s.blobs[digest], s.types[digest] = content, mediaType
	return digest
}

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
)

func newShelf(labels string) (s *shelf, amd64 string) {
	s = &shelf{blobs: map[string]string{}, types: map[string]string{}}
	entries := []string{}
	for _, arch := range []string{"arm64", "amd64"} {
		config := fmt.Sprintf(`{"architecture":%q,"os":"linux","config":{"Labels":%s},"rootfs":{"type":"layers","diff_ids":[]}}`, arch, labels)
		c := s.put(configType, config)
		m := s.put(manifestType, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
			manifestType, configType, c, len(config)))
		entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":%q}}`,
			manifestType, m, len(s.blobs[m]), arch))
		if arch == "amd64" {
			amd64 = m
		}
	}
	s.index = s.put(indexType, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, indexType, strings.Join(entries, ",")))
	return s, amd64
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/nvidia/cuda/"), "/")
	if len(parts) != 2 {
		http.NotFound(w, r)
		return
	}
	digest := parts[1]
	if digest == "11.8.0-devel" {
		digest = s.index
	}
	content, ok := s.blobs[digest]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", s.types[digest])
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(content))
	}
}

func ask(t *testing.T, s *shelf, tag string) (string, error) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return Digest(context.Background(), strings.TrimPrefix(server.URL, "http://")+"/nvidia/cuda:"+tag, "linux/amd64",
		Options{PlainHTTP: true, Client: server.Client()})
}

func TestTheDigestIsThatOfThePlatformsManifest(t *testing.T) {
	s, amd64 := newShelf(`{"maintainer":"NVIDIA"}`)
	got, err := ask(t, s, "11.8.0-devel")
	if err != nil || got != amd64 {
		t.Errorf("got %s, %v; want %s", got, err, amd64)
	}
}

func TestAStandInIsNotLocked(t *testing.T) {
	s, _ := newShelf(`{"org.llcuda.stand-in":"true"}`)
	_, err := ask(t, s, "11.8.0-devel")
	var standIn *StandInError
	if !errors.As(err, &standIn) {
		t.Errorf("got %v", err)
	}
}

func TestATagThatDoesNotExistNamesTheImage(t *testing.T) {
	s, _ := newShelf(`{}`)
	_, err := ask(t, s, "11.8.9-devel")
	var failed *AskError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "nvidia/cuda:11.8.9-devel") {
		t.Errorf("got %v", err)
	}
}

func TestAManifestThatWasSwappedIsRefused(t *testing.T) {
	s, amd64 := newShelf(`{}`)
	s.blobs[amd64] = strings.Replace(s.blobs[amd64], `"layers":[]`, `"layers":{}`, 1)
	if got, err := ask(t, s, "11.8.0-devel"); err == nil {
		t.Errorf("accepted as %s", got)
	}
}

func TestBareNamesAreDockerHubs(t *testing.T) {
	for image, want := range map[string][2]string{
		"debian:bullseye-slim":        {"docker.io/library/debian", "bullseye-slim"},
		"nvidia/cuda:11.8.0":          {"docker.io/nvidia/cuda", "11.8.0"},
		"nvcr.io/nvidia/cuda:1":       {"nvcr.io/nvidia/cuda", "1"},
		"127.0.0.1:5000/nvidia/cuda":  {"127.0.0.1:5000/nvidia/cuda", "latest"},
		"localhost/nvidia/cuda:a.b-c": {"localhost/nvidia/cuda", "a.b-c"},
	} {
		if name, tag := split(image); name != want[0] || tag != want[1] {
			t.Errorf("split(%q) = %q, %q", image, name, tag)
		}
	}
}

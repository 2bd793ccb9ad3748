package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a real HTTP server for one file that can be told to misbehave.
type server struct {
	*httptest.Server
	data []byte
	// before may answer request number n (from 1) itself and return true.
	before func(n int, w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests int
	ranges   []string
}

func serve(t *testing.T, data []byte) *server {
	t.Helper()
	s := &server{data: data}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	n, before := s.requests, s.before
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.mu.Unlock()
	if before != nil && before(n, w, r) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.data))
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// sendPart answers like a server that has all bytes and stops after upTo.
func (s *server) sendPart(w http.ResponseWriter, r *http.Request, upTo int) {
	from := offsetOf(r)
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.data)-1, len(s.data)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(s.data)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if upTo > from {
		w.Write(s.data[from:upTo])
	}
	w.(http.Flusher).Flush()
}

func offsetOf(r *http.Request) int {
	from := 0
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	return from
}

func randomBytes(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// options fetch s's file impatiently.
func (s *server) options(t *testing.T) Options {
	return Options{
		Open: get(s.URL + "/part.tar.zst?signature=secret"), Dest: filepath.Join(t.TempDir(), "sub", "part.tar.zst"),
		Size: int64(len(s.data)), SHA256: "sha256:" + hexSum(s.data),
		Backoff: time.Millisecond, Retries: 3, Stall: 5 * time.Second,
	}
}

// wantDone checks that Dest holds data and that nothing lies beside it.
func wantDone(t *testing.T, dest string, data []byte) {
	t.Helper()
	got, err := os.ReadFile(dest)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("wrong bytes: %d of them, want %d", len(got), len(data))
	}
	wantFiles(t, filepath.Dir(dest), filepath.Base(dest))
}

func wantFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Fatalf("folder holds %q, want %q", got, names)
	}
}

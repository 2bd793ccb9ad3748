package models

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

func quiet(t *testing.T) Options {
	t.Helper()
	return Options{CacheDir: t.TempDir(), Note: func(string) {}, Progress: func(string, string, int64, int64) {}, Finished: func(string) {}}
}

func TestAnAddressWithADigestThatSaysNothingIsGivenUp(t *testing.T) {
	defer func(was time.Duration) { stall = was }(stall)
	stall = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	spec, err := ParseSpec(silent(t) + "/m.gguf#sha256=" + strings.Repeat("1", 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = fromURL(ctx, spec, false, quiet(t)); ctx.Err() != nil || err == nil || !strings.Contains(err.Error(), "no byte came") {
		t.Errorf("it waited on: %v", err)
	}
}

func TestAnAddressWithADigestIsAskedAgain(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer s.Close()
	spec, err := ParseSpec(s.URL + "/m.gguf#sha256=" + strings.Repeat("1", 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fromURL(t.Context(), spec, false, quiet(t)); err == nil || asked.Load() < 2 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

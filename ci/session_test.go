package ci_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/ci"
)

func TestNoEngineAtTheAddressIsSaidAtOnce(t *testing.T) {
	address := "unix://" + filepath.Join(t.TempDir(), "engine.sock")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o := asEngine("dagger")
	o.Env["_EXPERIMENTAL_DAGGER_RUNNER_HOST"] = address
	_, err := ci.NewDagger(ctx, o)
	var none *ci.EngineError
	if !errors.As(err, &none) || none.Host != address {
		t.Fatalf("error %T %v, want an *EngineError for %s", err, err, address)
	}
	if !strings.Contains(none.Hint(), "make engine") {
		t.Errorf("hint %q", none.Hint())
	}
}

package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What costs more at start than `llcuda-build inspect` takes in all is linked into
// llcuda-engine.
var heavy = []string{
	"dagger.io/dagger", "oras.land/", "google.golang.org/grpc", "google.golang.org/protobuf", "go.opentelemetry.io/",
	"github.com/opencontainers/", "github.com/Khan/genqlient", "github.com/vektah/", "github.com/99designs/",
	"github.com/waqasm86/llcuda/internal/registry", "github.com/waqasm86/llcuda/ci/engine", "github.com/NVIDIA/go-nvml",
}

func TestNothingHeavyIsLinkedIntoLlcudaBuild(t *testing.T) {
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("go list names %d packages only", len(deps))
	}
	for _, dep := range deps {
		for _, h := range heavy {
			if strings.HasPrefix(dep, h) {
				t.Errorf("llcuda-build links %s: it belongs into llcuda-engine (package ci/engine)", dep)
			}
		}
	}
}

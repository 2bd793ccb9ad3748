#!/bin/bash
# test-engine.sh: the tests that carry the build tag `engine`: plans and CUDA
# cells through a real Dagger engine, a real llama-server of our own making, and
# publishing against npm's emulator of GitHub (test-github.sh).
. "$(dirname "$0")/env.sh"
cd "$ROOT"
scripts/test-github.sh # needs no engine, and is the quickest to fail
# A hold of its own: whoever else uses the engine keeps it.
export LLCUDA_ENGINE_HOLDER=test-engine-$$ LLCUDA_ENGINE_HOLDER_PID=$$
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-test-engine-XXXXXX")
trap 'engine/down.sh >&2 || true; rm -rf "$work"' EXIT
engine/up.sh
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
scripts/bundle-cpu.sh "$work/dist"
export LLCUDA_TEST_BUNDLE=$work/dist/cells/cpu
ref() { # ref IMAGE-SCRIPT-OUTPUT CELL: what --image gets, else the matrix's own image
  if [ -n "$1" ]; then echo "$1"; else bin/llcuda-build plan "$2" --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p'; fi
}
cpu=$(scripts/image.sh cpu "$(ref "" cpu)")
cuda118=$(scripts/cuda-image.sh 11.8.0)
cuda124=$(scripts/cuda-image.sh 12.4.1)
LLCUDA_TEST_IMAGE=$(ref "$cpu" cpu)
LLCUDA_TEST_CUDA118=$(ref "$cuda118" cuda11.8-sm75)
LLCUDA_TEST_CUDA124=$(ref "$cuda124" cuda12.4-sm86)
export LLCUDA_TEST_IMAGE LLCUDA_TEST_CUDA118 LLCUDA_TEST_CUDA124
go test -ldflags '-extldflags=-Wl,-z,lazy' -tags "${TAGS:-engine}" -count=1 -timeout 60m ./ci/... ./internal/serve/... ./internal/prove/... ./cmd/llcuda-build/...

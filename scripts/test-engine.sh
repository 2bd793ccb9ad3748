#!/bin/bash
# test-engine.sh: the tests that carry the build tag `engine`: plans through a
# real Dagger engine, and a real llama-server built by our own pipeline.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-test-engine-XXXXXX")
trap 'engine/down.sh --if-unused >&2 || true; rm -rf "$work"' EXIT
engine/up.sh
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
scripts/bundle-cpu.sh "$work/dist"
image=$(engine/base.sh cpu)
LLCUDA_TEST_IMAGE=${image:-$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')} \
LLCUDA_TEST_BUNDLE=$work/dist/cells/cpu \
  go test -ldflags '-extldflags=-Wl,-z,lazy' -tags engine -count=1 ./ci/... ./internal/serve/...

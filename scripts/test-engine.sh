#!/bin/bash
# test-engine.sh: the tests that carry the build tag `engine`: plans through a
# real Dagger engine, and a real llama-server built by our own pipeline.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
# A hold of its own: whoever else uses the engine keeps it.
export LLCUDA_ENGINE_HOLDER=test-engine-$$ LLCUDA_ENGINE_HOLDER_PID=$$
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-test-engine-XXXXXX")
trap 'engine/down.sh >&2 || true; rm -rf "$work"' EXIT
engine/up.sh
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
scripts/bundle-cpu.sh "$work/dist"
public=$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')
image=$(scripts/image.sh cpu "$public")
LLCUDA_TEST_IMAGE=${image:-$public} \
LLCUDA_TEST_BUNDLE=$work/dist/cells/cpu \
  go test -ldflags '-extldflags=-Wl,-z,lazy' -tags engine -count=1 ./ci/... ./internal/serve/...

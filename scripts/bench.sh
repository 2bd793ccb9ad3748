#!/bin/bash
# bench.sh: our time beside the rival's, on the files of the corpus, as ratios.
# It measures and does not fail: what is slow is to be seen, and read with the
# load of the machine, which is printed. RUNS (15) is how often ours runs, ONLY a
# part of the names of the rows to run. DIST is what `llcuda-build build cpu` left;
# without it the cell is built here, through the engine.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
need zstd zstd
need curl curl
scripts/corpus.sh fetch
dist=${DIST:-}
if [ -z "$dist" ]; then
  export LLCUDA_ENGINE_HOLDER=bench-$$ LLCUDA_ENGINE_HOLDER_PID=$$
  work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-bench-dist-XXXXXX")
  trap 'engine/down.sh >&2 || true; rm -rf "$work"' EXIT
  engine/up.sh
  dist=$work/dist
  scripts/bundle-cpu.sh "$dist"
fi
go run -ldflags '-extldflags=-Wl,-z,lazy' ./scripts/bench -corpus "$CACHE/corpus" -bin "$ROOT/bin/llcuda-build" -matrix matrix/cuda.yaml -runs "${RUNS:-15}" -dist "$dist" -only "${ONLY:-}"

#!/bin/bash
# bench.sh: our time beside the rival's, on the files of the corpus, as ratios.
# It measures and does not fail: what is slow is to be seen, and read with the
# load of the machine, which is printed. RUNS (15) is how often ours runs, ONLY a text
# that the names of the rows to run hold ("install").
. "$(dirname "$0")/env.sh"
cd "$ROOT"
need zstd zstd
need curl curl
scripts/corpus.sh fetch
exec go run -ldflags '-extldflags=-Wl,-z,lazy' ./scripts/bench -corpus "$CACHE/corpus" -bin "$ROOT/bin/llcuda-build" -matrix matrix/cuda.yaml -runs "${RUNS:-15}" -only "${ONLY:-}"

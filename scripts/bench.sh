#!/bin/bash
# bench.sh: our time beside the rival's, on the files of the corpus, as ratios.
# It measures and does not fail: what is slow is to be seen, and read with the
# load of the machine, which is printed. RUNS (15) is how often ours runs, ONLY a
# part of the names of the rows to run. DIST is what `llcuda-build build cpu` left, or
# build of another CELL where PART names that, and with a lean runtime in it there is
# a row of both; without DIST cpu is built here, through the engine. The rows of build compile
# CELL (cpu: a quarter of an hour from nothing, twice) in the image that the matrix
# names or its stand-in, and change FILE of it; with CCACHE, a tar of `llcuda-build
# ccache save`, both sides begin with what is in it, and there is no row from nothing.
# SOURCE is another tree than real llama.cpp: of the fixture that row takes a minute.
# BIG=1 packs the 374 MB library too.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
need zstd zstd
need curl curl
scripts/corpus.sh fetch
only=${ONLY:-}
export LLCUDA_ENGINE_HOLDER=bench-$$ LLCUDA_ENGINE_HOLDER_PID=$$
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-bench-XXXXXX")
trap 'engine/down.sh >&2 || true; rm -rf "$work"' EXIT
args=(-corpus "$CACHE/corpus" -bin "$ROOT/bin/llcuda-build" -matrix matrix/cuda.yaml -runs "${RUNS:-15}" -only "$only" -part "${PART:-cpu}")
dist=${DIST:-} builds=
[[ build != *"$only"* ]] || builds=1
[[ $only != build* ]] || builds=1
if [ -z "$dist" ] || [ -n "$builds" ]; then
  engine/up.sh
  # shellcheck disable=SC1091 # written by engine/up.sh
  . "$CACHE/engine/run/env"
fi
if [ -z "$dist" ]; then
  dist=$work/dist
  scripts/bundle-cpu.sh "$dist"
fi
if [ -n "$builds" ]; then
  cell=${CELL:-cpu} spec=${SOURCE:-$(scripts/source.sh)}
  if [ -d "$spec" ]; then
    source=$spec
  else
    source=$work/llama.cpp
    git -c advice.detachedHead=false clone -q --depth 1 "${spec:-$(sed -n 's/^ *url: *\(https:[^ ]*\).*/\1/p' matrix/cuda.yaml | head -1)}" "$source"
  fi
  case $cell in
  cpu) toolkit=cpu image=$(scripts/image.sh cpu "$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')") file=src/llama-context.cpp ;;
  cuda11.8-*) toolkit=11.8.0 image=$(scripts/cuda-image.sh 11.8.0) file=ggml/src/ggml-cuda/norm.cu ;;
  cuda12.4-*) toolkit=12.4.1 image=$(scripts/cuda-image.sh 12.4.1) file=ggml/src/ggml-cuda/norm.cu ;;
  *) die "bench.sh builds the cells of cpu, CUDA 11.8 and 12.4, not $cell" ;;
  esac
  args+=(-source "$source" -cell "$cell" -change "${FILE:-$file}")
  [ -z "$image" ] || args+=(-image "$toolkit=$image")
  [ -z "${CCACHE:-}" ] || args+=(-ccache "$CCACHE")
fi
[ -z "${BIG:-}" ] || args+=(-big)
go run -ldflags '-extldflags=-Wl,-z,lazy' ./scripts/bench "${args[@]}" -dist "$dist"

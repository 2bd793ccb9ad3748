#!/bin/bash
# bundle-cpu.sh OUT: builds the `cpu` cell of real llama.cpp through the running
# Dagger engine into OUT. The demo and the engine tests both start here; what is
# unchanged comes out of the engine's cache.
. "$(dirname "$0")/env.sh"
out=$1
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
cd "$ROOT"
public=$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')
source_spec=$(scripts/source.sh)
image=$(scripts/image.sh cpu "$public")
args=(build cpu --out "$out" --timings)
[ -z "$source_spec" ] || args+=(--source "$source_spec")
[ -z "$image" ] || args+=(--image "cpu=$image")
say "llcuda-build ${args[*]}"
bin/llcuda-build "${args[@]}" || { code=$?; logs "$out"; exit "$code"; }

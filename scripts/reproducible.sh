#!/bin/bash
# reproducible.sh CELL...: builds cells of real llama.cpp twice through the running
# engine, without any cache, in folders of other names, and compares the parts.
. "$(dirname "$0")/env.sh"
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
cd "$ROOT"
args=(verify --rebuild "$@")
source_spec=$(scripts/source.sh)
[ -z "$source_spec" ] || args+=(--source "$source_spec")
for cell; do
  case $cell in
  cpu)
    image=$(scripts/image.sh cpu "$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')")
    [ -z "$image" ] || args+=(--image "cpu=$image")
    ;;
  cuda11.8-*) image=$(scripts/cuda-image.sh 11.8.0); [ -z "$image" ] || args+=(--image "11.8.0=$image") ;;
  cuda12.4-*) image=$(scripts/cuda-image.sh 12.4.1); [ -z "$image" ] || args+=(--image "12.4.1=$image") ;;
  esac
done
[ -z "${KEEP:-}" ] || args+=(--keep "$KEEP")
say "llcuda-build ${args[*]}"
exec bin/llcuda-build "${args[@]}"

#!/bin/bash
# bundle-cuda.sh OUT real|fixture CELL...: builds CUDA cells through the running
# Dagger engine into OUT, all at once: of llama.cpp (about 50 minutes of one core
# a cell and SM the first time, ccache's work after that), or of the fixture in
# testdata/. A cell of llama.cpp that was built leaves a note of what its objects
# in ccache were made from, which warm.sh reads.
. "$(dirname "$0")/env.sh"
out=$1 what=$2
shift 2
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
cd "$ROOT"
# A stock runtime is hundreds of MB to pack: RUNTIME=host,stock asks for it.
args=(build "$@" --out "$out" --timings --runtime "${RUNTIME:-host}")
case $what in
real) source_spec=$(scripts/source.sh); [ -z "$source_spec" ] || args+=(--source "$source_spec") ;;
fixture) args+=(--source testdata/fixture) ;;
*) die "bundle-cuda.sh builds real or fixture, not $what" ;;
esac
for version in 11.8.0 12.4.1; do
  case " $* " in *" cuda${version%.*}-"*) ;; *) continue ;; esac
  image=$(scripts/cuda-image.sh "$version")
  [ -z "$image" ] || args+=(--image "$version=$image")
done
say "llcuda-build ${args[*]}"
bin/llcuda-build "${args[@]}" || { code=$?; logs "$out"; exit "$code"; }
[ "$what" = fixture ] || for cell; do scripts/warm.sh --note "$cell"; done

#!/bin/bash
# cell.sh CELL [CCACHE.tar]: builds one cell into dist/ in the image that the matrix
# names (or its stand-in, where no registry answers), as a job of release.yml does.
# With CCACHE.tar the compiler cache is loaded from there first, if the file is
# there, and saved to it afterwards, also after a failure. TIME_LIMIT=300m ends a
# build that takes longer, as Ctrl-C would: there is time left to save the cache.
. "$(dirname "$0")/env.sh"
cell=$1 tar=${2:-}
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
cd "$ROOT"
image=() args=(build "$cell" --timings)
source_spec=$(scripts/source.sh)
[ -z "$source_spec" ] || args+=(--source "$source_spec")
case $cell in
cpu) toolkit=cpu ref=$(scripts/image.sh cpu "$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')") ;;
cuda11.8-*) toolkit=11.8.0 ref=$(scripts/cuda-image.sh 11.8.0) ;;
cuda12.4-*) toolkit=12.4.1 ref=$(scripts/cuda-image.sh 12.4.1) ;;
*) ref= ;;
esac
[ -z "$ref" ] || image=(--image "$toolkit=$ref")
if [ -n "$tar" ] && [ -f "$tar" ]; then
  bin/llcuda-build ccache load "$cell" "$tar" "${image[@]}" || say "the compiler cache in $tar was of no use: building without it"
fi
code=0
build=(bin/llcuda-build "${args[@]}" "${image[@]}")
[ -z "${TIME_LIMIT:-}" ] || build=(timeout --signal=INT --kill-after=60 "$TIME_LIMIT" "${build[@]}")
"${build[@]}" || code=$?
[ "$code" != 124 ] || say "$cell was not built in $TIME_LIMIT"
[ "$code" = 0 ] || logs dist
if [ -n "$tar" ]; then
  bin/llcuda-build ccache save "$cell" "$tar" "${image[@]}" || say "the compiler cache was not saved"
fi
exit "$code"

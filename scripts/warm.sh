#!/bin/bash
# warm.sh [--note] CELL: exit 0 where ccache holds the objects of CELL of
# llama.cpp as it would be built now. What it holds is told by a note in the
# cache, beside the engine whose volume ccache's files are: a hash of the source,
# the image, the cmake arguments and what stands before nvcc's programs, which
# --note writes after a build. A note only decides what is built, never what
# passes: ccache compares every input.
. "$(dirname "$0")/env.sh"
note=
[ "$1" != --note ] || { note=1; shift; }
cell=$1
cd "$ROOT"
toolkit=${cell#cuda} toolkit=${toolkit%%-*}
key=$({
  scripts/source.sh 2>/dev/null
  sed -n '/^source:/,/^[a-z]/p' matrix/cuda.yaml
  # The image as this machine has it: the stand-in's digest, else its name.
  cat "$CACHE/images/cuda-$toolkit.digest" 2>/dev/null || true
  bin/llcuda-build plan "$cell" --json | grep -v '"key"'
  cat matrix/reuse*.sh # ccache's key has them, see matrix/make.go
} | sha256sum | cut -c1-16)
if [ -n "$note" ]; then
  mkdir -p "$CACHE/engine/warm"
  echo "$key" >"$CACHE/engine/warm/$cell"
else
  [ "$(cat "$CACHE/engine/warm/$cell" 2>/dev/null)" = "$key" ]
fi

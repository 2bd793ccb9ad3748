#!/bin/bash
# corpus-x86.sh [FOLDER…]: holds our decoder of x86-64 against objdump over real
# libraries: where each instruction begins, and which extension it belongs to.
# Without folders it fetches Debian packages that hold every extension (OpenBLAS,
# FFmpeg, OpenSSL, libstdc++, libgomp) into the cache; with llama.cpp's CPU variants
# in corpus/npm it reads those too, and gofmt.
. "$(dirname "$0")/env.sh"
need objdump binutils
if [ $# -eq 0 ]; then
  dir=$CACHE/corpus/x86
  if [ ! -d "$dir" ]; then
    say "fetching libraries for the decoder's corpus"
    work=$(mktemp -d "${TMPDIR:-/tmp}/corpus-x86.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # The names of FFmpeg's library and of OpenSSL's package differ between releases.
    avcodec=$(apt-cache pkgnames libavcodec | grep -E '^libavcodec[0-9]+$' | sort -V | tail -n 1)
    ssl=$(apt-cache pkgnames libssl3 | grep -E '^libssl3(t64)?$' | head -n 1)
    (cd "$work" && apt-get download -qq libstdc++6 "$ssl" "$avcodec" libopenblas0-pthread libgomp1)
    for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
    mkdir -p "$work/out" "$CACHE/corpus"
    find "$work/root" -type f -name '*.so*' -exec cp -t "$work/out" {} +
    cp "$(go env GOROOT)/bin/gofmt" "$work/out/"
    mv "$work/out" "$dir"
  fi
  set -- "$dir"
  for npm in "$CACHE"/corpus/npm/node-llama-cpp-linux-x64-[0-9]*; do
    [ ! -d "$npm" ] || set -- "$@" "$npm"
  done
fi
cd "$ROOT"
LLCUDA_CORPUS=$(IFS=:; echo "$*") go test -tags corpus -timeout 60m -run '^TestObjdump' -v ./internal/inspect

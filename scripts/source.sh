#!/bin/bash
# source.sh: prints what to give to `llcuda-build build --source`: nothing where
# the matrix's own git URL answers, else a git bundle of the same llama.cpp
# release, taken from the npm package that carries one for its own source builds.
. "$(dirname "$0")/env.sh"
if [ -n "${LLCUDA_SOURCE:-}" ]; then echo "$LLCUDA_SOURCE"; exit; fi
url=$(sed -n 's/^ *url: *\(https:[^ ]*\).*/\1/p' "$ROOT/matrix/cuda.yaml" | head -1)
if GIT_TERMINAL_PROMPT=0 timeout 15 git ls-remote -q "$url" HEAD >/dev/null 2>&1; then exit 0; fi
package=node-llama-cpp version=3.22.1
dir=$CACHE/source/$package-$version
if [ ! -f "$dir/gitRelease.bundle" ]; then
  need npm npm
  say "$url does not answer; taking llama.cpp from the npm package $package@$version"
  mkdir -p "$CACHE/source"
  tmp=$(mktemp -d "$CACHE/source/.staging-XXXXXX"); trap 'rm -rf "$tmp"' EXIT
  (cd "$tmp" && npm pack --loglevel error --cache "$tmp/npm" "$package@$version" >/dev/null) ||
    die "npm pack $package@$version did not work; give a tree with LLCUDA_SOURCE=DIR"
  tar -xzf "$tmp"/*.tgz -C "$tmp" package/llama/gitRelease.bundle
  # measured on 2026-11-23; another file would be another source
  echo "5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51  $tmp/package/llama/gitRelease.bundle" | sha256sum --check --quiet - >&2 ||
    die "the git bundle in $package@$version is not the one this script knows"
  mkdir -p "$dir"
  mv "$tmp/package/llama/gitRelease.bundle" "$dir/gitRelease.bundle"
fi
echo "$dir/gitRelease.bundle"

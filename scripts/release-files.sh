#!/bin/bash
# release-files.sh OUT: everything of a release besides bundles: both programs,
# built in the image of the cpu cell (or its stand-in) and held to the promised
# glibc; man pages and completions as one archive; install.sh. Prints their
# SHA-256. The same commit and Go make the same bytes. BUILDER=host builds with the
# tools here; REBUILD=1 builds the programs twice and compares.
. "$(dirname "$0")/env.sh"
out=$1
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$ROOT"
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
version=$(git describe --tags --always --dirty)
commit=$(git rev-parse HEAD)
date=$(git log -1 --format=%ct)
args=(programs --out "$out" --set-version "$version" --set-commit "$commit")
[ -z "${REBUILD:-}" ] || args+=(--rebuild)
if [ -n "${BUILDER:-}" ]; then args+=(--builder "$BUILDER")
else
  public=$(bin/llcuda-build plan cpu --json | sed -n 's/.*"image": *"\([^"]*\)".*/\1/p')
  image=$(scripts/image.sh cpu "$public")
  [ -z "$image" ] || args+=(--image "cpu=$image")
fi
say "llcuda-build ${args[*]}"
bin/llcuda-build "${args[@]}" >&2

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
scripts/man.sh "$work/llcuda/man/man1" "$date"
mkdir -p "$work/llcuda/completions"
for program in llcuda-run llcuda-build; do
  for shell in bash zsh fish; do
    "$out/$program-linux-amd64" completion "$shell" >"$work/llcuda/completions/$program.$shell"
  done
done
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$date" --format=ustar -cf - llcuda |
  gzip -9n >"$out/llcuda-man-completions.tar.gz"
install -m 644 install.sh "$out/install.sh"
cd "$out"
sha256sum install.sh llcuda-build-linux-amd64 llcuda-engine-linux-amd64 llcuda-man-completions.tar.gz llcuda-run-linux-amd64

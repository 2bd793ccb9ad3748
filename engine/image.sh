#!/bin/bash
# image.sh NAME...: from recipes/NAME.conf to an image in the local registry,
# whose reference is printed, one line for each NAME. An image that this very
# recipe made before, told by its label, is left as it is (well under a second).
# Its digest is kept in CACHE/images/NAME.digest; what was installed is written in
# the image: /usr/local/share/llcuda/packages.txt, /usr/local/cuda/packages.txt.
# The registry is up.sh's, or LLCUDA_REGISTRY's (HOST:PORT, plain http).
set -euo pipefail
. "$(dirname "$0")/paths.sh"
[ $# -gt 0 ] || die "image.sh wants a NAME" "one of: $(cd "$HERE/recipes" && echo *.conf | sed 's/\.conf//g')"
[ -n "${LLCUDA_REGISTRY:-}" ] || [ ! -f "$RUN/env" ] || . "$RUN/env"
reg=${LLCUDA_REGISTRY:-}
[ -n "$reg" ] || die "no registry to push to" "$HERE/up.sh, or LLCUDA_REGISTRY=HOST:PORT"

# code FILE...: the files without their comments: words about a recipe change no image.
code() { sed -e '/^ *#/d' -e '/^$/d' "$@"; }

# files NAME: a hash of all that decides the files of NAME's layers; its base's are part of it.
files() {
  local BASE='' IMAGE SUITE PACKAGES TOOLKIT
  . "$HERE/recipes/$1.conf"
  if [ -z "$BASE" ]; then code "$HERE/recipes/$1.conf" "$HERE/rootfs.sh"
  else code "$HERE/recipes/$1.conf" "$HERE/rootfs-cuda.sh"; files "$BASE"; fi | hash12
}

# root NAME: makes NAME's files if they are not there; prints their folder.
root() {
  local BASE='' IMAGE SUITE PACKAGES TOOLKIT dir
  . "$HERE/recipes/$1.conf"
  dir=$CACHE/rootfs/$1-$(files "$1")
  [ -d "$dir" ] || "$HERE/rootfs.sh" "$1" "$dir" ${BASE:+"$(root "$BASE")"} >&2 || exit 1
  echo "$dir"
}

# layers NAME: makes what is missing of NAME's layers; prints their folders, lowest first.
layers() {
  local BASE='' IMAGE SUITE PACKAGES TOOLKIT id out dir
  . "$HERE/recipes/$1.conf"
  [ -z "$BASE" ] || layers "$BASE"
  id=$1-$(files "$1")
  out=$CACHE/images/layers/$id-$(code "$HERE/layer.sh" | hash12)
  if [ ! -f "$out/layer" ]; then
    dir=$(root "$1") || exit 1
    say "packing $1"
    mkdir -p "$CACHE/images/layers"
    "$HERE/layer.sh" "$dir" "$out" >&2 || exit 1
    # What older recipes left behind; and a toolkit's files are not needed again (a base's are).
    find "$CACHE/rootfs" "$CACHE/images/layers" -mindepth 1 -maxdepth 1 -name "$1-*" ! -name "$id*" -exec rm -rf --one-file-system {} +
    [ -z "$BASE" ] || rm -rf --one-file-system "$dir"
  fi
  echo "$out"
}

for name; do
  [ -f "$HERE/recipes/$name.conf" ] || die "there is no recipe $name" "one of: $(cd "$HERE/recipes" && echo *.conf | sed 's/\.conf//g')"
  . "$HERE/recipes/$name.conf"
  ref=$reg/$IMAGE key=$({ files "$name"; code "$HERE"/{layer,push}.sh; } | hash12)
  have() { [ "$(skopeo inspect --tls-verify=false --format '{{index .Labels "org.llcuda.recipe"}}' "docker://$ref" 2> /dev/null)" = "$key" ]; }
  if ! have; then
    need_root
    mkdir -p "$CACHE/images"
    exec 7> "$CACHE/images/lock"
    flock 7
    if ! have; then
      t0=$SECONDS
      dirs=$(layers "$name") || exit 1
      # shellcheck disable=SC2086 # one folder a line, and our own names
      digest=$(IFS=$'\n'; "$HERE/push.sh" "$ref" "$key" $dirs) || exit 1
      echo "$digest" > "$CACHE/images/$name.digest"
      say "$ref is $digest, made in $((SECONDS - t0)) s"
    fi
    flock -u 7
  fi
  echo "$ref"
done

#!/bin/bash
# first-build.sh WORK CELL...: real llama.cpp in CUDA cells, through the Dagger
# engine of `make engine`, and what both witnesses say of the result. Twice, so
# that the second time shows what ccache saves and that the bytes are the same.
#
#   WORK  folder for everything that this makes; must not exist
#   CELL  cuda11.8-sm75 cuda12.4-sm75 unless given
#
# build → the same again elsewhere → sizes → inspect → each container beside
# cuobjdump's line for it → verify, folder and tarball → publish to a folder → why.
# What it printed is in first-build.md.
# shellcheck disable=SC2016 # sh -c expands
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir "$1"
work=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- cuda11.8-sm75 cuda12.4-sm75
cd "$root"
missed=

step() { # step NAME EXIT COMMAND...: runs it, says how it ended and how long it took
  local name=$1 want=$2 code=0 from=$EPOCHREALTIME
  shift 2
  printf '\n=== %s: %s\n' "$name" "$*"
  "$@" || code=$?
  printf '=== %s: exit %s after %.1f s\n' "$name" "$code" "$(awk "BEGIN{print $EPOCHREALTIME-$from}")"
  [ "$code" = "$want" ] || { echo "!!! $name ended with $code, not $want"; missed="$missed $name"; }
}

# beside CELL: every container of libggml-cuda.so by our reading, and what
# cuobjdump, in the container that built it, said of the same one.
beside() {
  local dir=$work/dist/cells/$1 said=$work/dist/logs/$1.cuobjdump.txt
  head -n 1 "$said"
  paste <(bin/llcuda-build inspect --units "$dir/libggml-cuda.so" | sed -n '/^  *UNIT /,$p' | grep -E '^ +([0-9]+|UNIT) ') \
    <(echo "cuobjdump --list-elf"; awk '$1 == "@" { on = ($3 == "--list-elf" && $4 == "libggml-cuda.so"); next } on && $1 == 1 { sub(/^1 /, ""); print }' "$said")
  echo "cuobjdump --list-ptx: $(awk '$1 == "@" { on = ($3 == "--list-ptx" && $4 == "libggml-cuda.so"); next } on { print }' "$said")"
}

step machine 0 sh -c '. /etc/os-release; echo "$PRETTY_NAME, $(uname -r), $(nproc) cores"; go version; git describe --always --dirty'
step build 0 scripts/bundle-cuda.sh "$work/dist" real "$@"
[ -z "$missed" ] || exit 1
step again 0 scripts/bundle-cuda.sh "$work/again" real "$@"
for cell; do
  step "same-$cell" 0 sh -c 'cd "$0" && sha256sum dist/"$1"-*.tar.zst again/"$1"-*.tar.zst && cmp dist/"$1"-*.tar.zst again/"$1"-*.tar.zst' "$work" "$cell"
  step "sizes-$cell" 0 sh -c 'ls -l "$0"/"$1"-*.tar.zst; ls -l "$0/cells/$1"; du -sb "$0/cells/$1"' "$work/dist" "$cell"
  step "tools-$cell" 0 sed -n '/"image"/,/^  }/p' "$work/dist/cells/$cell/bundle.json"
  step "inspect-$cell" 0 bin/llcuda-build inspect "$work/dist/cells/$cell/libggml-cuda.so"
  step "beside-$cell" 0 beside "$cell"
  step "verify-$cell" 0 bin/llcuda-build verify "$work/dist/cells/$cell"
  step "verify-tarball-$cell" 0 sh -c 'bin/llcuda-build verify "$0"/"$1"-*.tar.zst' "$work/dist" "$cell"
  step "glibc-$cell" 0 sh -c 'bin/llcuda-build inspect --json "$0" | grep -o "\"glibc\": *\"[^\"]*\"" | sort | uniq -c' "$work/dist/cells/$cell"
done
step keygen 0 bin/llcuda-build keygen --no-password "$work/proof.key"
step publish 0 bin/llcuda-build publish first "$work/dist" --to "dir:$work/releases" --sign-key "$work/proof.key" --partial # no release by the promise
step release 0 ls -l "$work/releases/first"
export LLCUDA_FROM=$work/releases LLCUDA_KEY=$work/proof.key.pub
step why-t4 0 bin/llcuda-run why --driver 535.104.05 --sm 75 --glibc 2.35
step why-t4-old 0 bin/llcuda-run why --driver 450.80.02 --sm 75 --glibc 2.31
step why-3090 3 bin/llcuda-run why --driver 535.104.05 --sm 86 --glibc 2.35
printf '\n=== done; not as expected:%s\n' "${missed:- nothing}"
[ -z "$missed" ]

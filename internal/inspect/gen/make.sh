#!/bin/bash
# make.sh: nvidia.tab out of the static cuBLAS of CUDA 11.8 and 12.4, as Debian
# packages them. The packages are those that engine/rootfs-cuda.sh keeps in the
# cache (`make images` downloads them); nothing is downloaded here.
set -euo pipefail
cd "$(dirname "$0")/.."
debs=${LLCUDA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llcuda}/debs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
args=()
for suite in bookworm trixie; do
  set -- "$debs/$suite"/nvidia-cuda-dev_*_amd64.deb
  if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    echo "make.sh: want one nvidia-cuda-dev in $debs/$suite (run: make images)" >&2
    exit 1
  fi
  dev=$1
  # cuBLAS has a version of its own, which its shared library's package bears.
  set -- "$debs/$suite"/libcublas1[0-9]_*_amd64.deb
  cublas=$(dpkg-deb -f "$1" Version)
  origin="nvidia-cuda-dev_$(dpkg-deb -f "$dev" Version)"
  mkdir "$work/$suite"
  dpkg-deb --fsys-tarfile "$dev" | tar -C "$work/$suite" -x --wildcards '*/libcublas_static.a' '*/libcublasLt_static.a'
  for lib in libcublas_static.a libcublasLt_static.a; do
    file=$(find "$work/$suite" -name "$lib")
    sum=$(sha256sum "$file")
    args+=("cublas-${cublas%%[~+-]*}|$origin $lib sha256:${sum%% *}|$file")
  done
done
go run ./gen -o nvidia.tab "${args[@]}"

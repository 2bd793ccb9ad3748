#!/bin/bash
# cuda-image.sh VERSION: prints the image to build a CUDA cell in, for
# --image VERSION=…; see image.sh. VERSION is 11.8.0 or 12.4.1.
. "$(dirname "$0")/env.sh"
public=$(sed -n "/^  \"$1\":/,/^  \"[0-9]/s/^ *image: *\([^ ]*\).*/\1/p" "$ROOT/matrix/cuda.yaml" | head -n 1)
[ -n "$public" ] || die "the matrix names no image for CUDA $1"
exec "$ROOT/scripts/image.sh" "cuda-${1%.*}" "$public"

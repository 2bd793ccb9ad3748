#!/bin/bash
# man.sh DIR [SECONDS]: the man pages of both programs into DIR, dated SECONDS
# after 1970 (default: the commit's time).
. "$(dirname "$0")/env.sh"
dir=$1 date=${2:-$(git -C "$ROOT" log -1 --format=%ct)}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd "$ROOT"
for program in llcuda-run llcuda-build; do
  go run -tags man -ldflags '-extldflags=-Wl,-z,lazy' "./cmd/$program" man "$dir" "$date"
done

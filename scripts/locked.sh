#!/bin/bash
# locked.sh: fails unless matrix/cuda.lock.json pins the image of every cell by its
# digest: a release is built in nothing else.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
cure='where Docker Hub answers, run "bin/llcuda-build plan --lock" (after make build), read the difference, commit matrix/cuda.lock.json to main, and tag the next version (RELEASE.md, "A release", step 2)'
[ -f matrix/cuda.lock.json ] || die "matrix/cuda.lock.json is not in this commit, so nothing says which images a release is built in: $cure"
plan=$(bin/llcuda-build plan --json)
images=$(sed -n 's/^ *"image": *"\([^"]*\)".*/\1/p' <<<"$plan" | sort -u)
[ -n "$images" ] || die "the plan names no image"
loose=$(grep -v '@sha256:[0-9a-f]\{64\}$' <<<"$images" || true)
[ -z "$loose" ] || die "matrix/cuda.lock.json does not pin ${loose//$'\n'/, }: $cure"
say "every image is pinned:"
echo "$images"

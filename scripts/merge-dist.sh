#!/bin/bash
# merge-dist.sh ARTIFACTS DIST: puts what the jobs of a release left, one folder each,
# into one dist/. Cells of one toolkit share its runtime part, which the job of each
# makes: the same bytes. Two jobs that left other files of one name are a mistake.
# CELLS, what `llcuda-build plan --github` printed, says which cells there must be:
# download-artifact takes what there still is, and artifacts end after days.
. "$(dirname "$0")/env.sh"
from=$1 to=$2
mkdir -p "$to/extra"
put() {
  if [ -e "$2/${1##*/}" ]; then
    cmp -s "$1" "$2/${1##*/}" || die "${1##*/} comes from two jobs, and is not the same in both"
  else
    cp "$1" "$2/"
  fi
}
shopt -s nullglob
for dir in "$from"/dist-*; do
  if [ "${dir##*/}" = dist-files ]; then
    for file in "$dir"/*; do put "$file" "$to/extra"; done
    continue
  fi
  for file in "$dir"/*.tar.zst "$dir"/*.bundle.json; do put "$file" "$to"; done
  for file in "$dir"/extra/*; do put "$file" "$to/extra"; done
done
for cell in $(grep -o '"id": *"[^"]*"' <<<"${CELLS:-}" | sed 's/.*"\([^"]*\)"$/\1/'); do
  [ -e "$to/$cell.bundle.json" ] || die "the plan has cell $cell, and no job left it: its artifact dist-$cell may be too old; run all jobs again"
done
[ -e "$to/extra/llcuda-run-linux-amd64" ] || [ -z "${CELLS:-}" ] || die "the job files left no programs: its artifact dist-files may be too old; run all jobs again"
ls -l "$to" "$to/extra"

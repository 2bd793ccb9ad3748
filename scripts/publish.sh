#!/bin/bash
# publish.sh OWNER/REPO TAG: signs llcuda-run and publishes dist/ as release TAG. The
# key is LLCUDA_SIGN_KEY (a file's name, or the text of one), its password
# LLCUDA_SIGN_PASSWORD or what is typed. DRY_RUN=1 checks everything and writes nothing there.
. "$(dirname "$0")/env.sh"
[ $# = 2 ] || die "usage: publish.sh OWNER/REPO TAG"
repo=$1 tag=$2
cd "$ROOT"
bin/llcuda-build sign --release "$tag" --repository "github:$repo" dist/extra/llcuda-run-linux-amd64
args=(publish "$tag" dist --to "github:$repo")
for file in dist/extra/*; do args+=(--extra "$file"); done
[ -z "${DRY_RUN:-}" ] || args+=(--dry-run)
exec bin/llcuda-build "${args[@]}"

#!/bin/bash
# release-check.sh OWNER/REPO TAG: what a user of a published release gets. Installs
# llcuda-run with install.sh from that release, lets it install the cpu bundle and
# llcuda-build verify the whole release, and holds every file to SHA256SUMS and to
# its attestation. LLCUDA_KEY is the public key where none is pinned; needs gh for
# the attestations (GH_TOKEN).
. "$(dirname "$0")/env.sh"
[ $# = 2 ] || die "usage: release-check.sh OWNER/REPO TAG"
repo=$1 tag=$2
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
from=github:$repo@$tag
export LLCUDA_FROM=$from LLCUDA_HOME=$work/home
say "install.sh of $from"
curl -fsSL --retry 5 --proto '=https' -o "$work/install.sh" "https://github.com/$repo/releases/download/$tag/install.sh"
PREFIX=$work sh "$work/install.sh" "$tag"
"$work/bin/llcuda-run" --version
say "llcuda-run doctor, and the cpu bundle"
"$work/bin/llcuda-run" doctor
"$work/bin/llcuda-run" pull --cpu
say "llcuda-build verify $from"
"$ROOT/bin/llcuda-build" verify "$from" --cuobjdump off
say "SHA256SUMS and attestations"
mkdir "$work/files"
gh release download "$tag" --repo "$repo" --dir "$work/files"
(cd "$work/files" && sha256sum --check --strict SHA256SUMS)
for file in "$work"/files/*; do
  case $file in *.minisig) continue ;; esac
  gh attestation verify "$file" --repo "$repo" >/dev/null || die "${file##*/} has no attestation of $repo"
done
say "$from is what it says"

#!/bin/bash
# release-check.sh OWNER/REPO TAG: what a user of a published release gets. Installs
# llcuda-run with install.sh from that release, lets it install the cpu bundle and
# llcuda-build verify the whole release, and holds every file to SHA256SUMS and to
# its attestation. LLCUDA_KEY is the public key where none is pinned; needs gh for
# the attestations (GH_TOKEN). Where gh is missing, or the server is not github.com,
# the attestations are left out and the last line says so; in Actions that fails.
# GITHUB_SERVER_URL and GITHUB_API_URL (Actions sets both) say where GitHub is.
. "$(dirname "$0")/env.sh"
[ $# = 2 ] || die "usage: release-check.sh OWNER/REPO TAG"
repo=$1 tag=$2
server=${GITHUB_SERVER_URL:-https://github.com}
unattested=
command -v gh >/dev/null || unattested="gh is not here to ask for them"
[ "$server" = https://github.com ] || unattested="$server is not github.com"
if [ -n "$unattested" ] && [ "${GITHUB_ACTIONS:-}" = true ]; then die "the attestations cannot be checked: $unattested"; fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
from=github:$repo@$tag
export LLCUDA_FROM=$from LLCUDA_HOME=$work/home LLCUDA_GITHUB=$server LLCUDA_GITHUB_API=${GITHUB_API_URL:-}
get() { # get URL TO
  local https=()
  case $1 in http://127.0.0.1:*) ;; *) https=(--proto '=https') ;; esac
  curl -fsSL --retry 5 "${https[@]}" -o "$2" "$1"
}
base=$server/$repo/releases/download/$tag
say "install.sh of $from"
get "$base/install.sh" "$work/install.sh"
PREFIX=$work sh "$work/install.sh" "$tag"
"$work/bin/llcuda-run" --version
say "llcuda-run doctor, and the cpu bundle"
"$work/bin/llcuda-run" doctor
"$work/bin/llcuda-run" pull --cpu
say "llcuda-build verify $from"
"$ROOT/bin/llcuda-build" verify "$from" --cuobjdump off
say "SHA256SUMS and attestations"
mkdir "$work/files"
if [ -z "$unattested" ]; then
  gh release download "$tag" --repo "$repo" --dir "$work/files"
else
  get "$base/SHA256SUMS" "$work/files/SHA256SUMS"
  while read -r _ name; do get "$base/${name#\*}" "$work/files/${name#\*}"; done <"$work/files/SHA256SUMS"
fi
(cd "$work/files" && sha256sum --check --strict SHA256SUMS)
if [ -n "$unattested" ]; then
  say "$from is what it says. Its attestations were NOT checked: $unattested"
  exit 0
fi
for file in "$work"/files/*; do
  case $file in *.minisig) continue ;; esac
  gh attestation verify "$file" --repo "$repo" >/dev/null || die "${file##*/} has no attestation of $repo"
done
say "$from is what it says"

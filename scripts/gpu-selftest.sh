#!/bin/bash
# gpu-selftest.sh OWNER/REPO [TAG]: installs llcuda-run of a release on this machine
# with a GPU, in a folder of its own, and lets it prove the bundle that it chooses.
# GITHUB_SERVER_URL and GITHUB_API_URL (Actions sets both) say where GitHub is.
. "$(dirname "$0")/env.sh"
[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: gpu-selftest.sh OWNER/REPO [TAG]"
repo=$1 tag=${2:-}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export LLCUDA_FROM=github:$repo${tag:+@$tag} LLCUDA_HOME=$work/home
export LLCUDA_GITHUB=${GITHUB_SERVER_URL:-https://github.com} LLCUDA_GITHUB_API=${GITHUB_API_URL:-}
[ -z "${LLCUDA_KEY:-}" ] || need minisign minisign # install.sh holds the program to the key, or stops
PREFIX=$work sh "$ROOT/install.sh" ${tag:+"$tag"}
"$work/bin/llcuda-run" doctor
"$work/bin/llcuda-run" selftest

#!/bin/bash
# gpu-selftest.sh OWNER/REPO [TAG]: installs llcuda-run of a release on this machine
# with a GPU, in a folder of its own, and lets it prove the bundle that it chooses.
. "$(dirname "$0")/env.sh"
repo=$1 tag=${2:-}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export LLCUDA_FROM=github:$repo${tag:+@$tag} LLCUDA_HOME=$work/home
PREFIX=$work sh "$ROOT/install.sh" ${tag:+"$tag"}
"$work/bin/llcuda-run" doctor
"$work/bin/llcuda-run" selftest

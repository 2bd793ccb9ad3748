# shellcheck shell=bash
# Sourced by the scripts beside it: where things are kept, and how to speak.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${LLCUDA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llcuda}
case $CACHE in /*) ;; *) CACHE=$PWD/$CACHE; export LLCUDA_CACHE=$CACHE ;; esac
# Dagger's client keeps an id of its own there: in the cache, then, not in the home folder.
export XDG_STATE_HOME=$CACHE/state
# The flags of the Makefile: go-nvml calls functions that NVIDIA has deprecated.
export CGO_CFLAGS="-O2 -g -Wno-deprecated-declarations"
say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
# need PROGRAM PACKAGE: installs a Debian package where the program is missing.
need() {
  command -v "$1" >/dev/null && return 0
  [ "$(id -u)" = 0 ] || die "$1 is missing and only root can install it: apt-get install $2"
  command -v apt-get >/dev/null || die "$1 is missing, and so is apt-get: install it by hand"
  say "installing the Debian package $2 (for $1)"
  { apt-get install -y -qq --no-install-recommends "$2" || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; }; } >/dev/null 2>&1 ||
    die "apt-get install $2 did not work; run it by hand to see why"
}
# logs OUT: the ends of the logs of a failed build, and what the engine had to say: OUT goes away.
logs() {
  tail -n 30 "$1"/logs/*.log >&2 || true
  grep -s 'level=error' "$CACHE/engine/run/engine.log" | tail -n 5 >&2 || true
}

# shellcheck shell=bash
# paths.sh: from the environment to the folders and the few words that every
# script of this folder shares. Sourced, never run; it creates nothing.
#
#   LLCUDA_CACHE            root of everything kept (default: ~/.cache/llcuda)
#   LLCUDA_ENGINE_HOLDER    who holds the engine (default: this checkout's path, hashed)
#   LLCUDA_ENGINE_HOLDER_PID  process the hold lives as long as (default: until down.sh)

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(dirname "$HERE")
CACHE=${LLCUDA_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set; set LLCUDA_CACHE}/.cache}/llcuda}
case $CACHE in /*) ;; *) CACHE=$PWD/$CACHE ;; esac
E=$CACHE/engine   # engine: bin/ state/ tmp/ run/
R=$CACHE/registry # registry: data/ port
RUN=$E/run

hash12() { sha256sum | cut -c1-12; }
HOLDER=${LLCUDA_ENGINE_HOLDER:-$(printf %s "$CHECKOUT" | hash12)}
# One network and one bridge per cache root, so that two caches may each have an engine.
NET=llcuda$(printf %s "$CACHE" | sha256sum | cut -c1-4)

say()  { printf 'engine: %s\n' "$*" >&2; }
# No script ends without a word, not even by a mistake of ours.
set -E
trap 'printf "engine: error: %s, line %s: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# die WHAT CURE: one sentence, one cure, exit 1.
die()  { printf 'engine: error: %s\n' "$1" >&2; [ -z "${2:-}" ] || printf 'engine: hint: %s\n' "$2" >&2; exit 1; }

# ours PIDFILE WORD: prints the pid in PIDFILE if that process is alive and its
# command line holds WORD; a pid that was given to someone else is not ours.
ours() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
  { tr '\0' ' ' < "/proc/$pid/cmdline"; } 2> /dev/null | grep -qF -- "$2" || return 1
  echo "$pid"
}
engine_pid()   { ours "$RUN/engine.pid" "inner.sh $E "; }
registry_pid() { ours "$RUN/registry.pid" "serve $R/config.yml "; }

# stop PID SECONDS: SIGTERM, then SIGKILL when SECONDS have passed.
stop() {
  kill -TERM "$1" 2>/dev/null || return 0
  local i
  for ((i = 0; i < $2 * 10; i++)); do [ -d "/proc/$1" ] || return 0; sleep 0.1; done
  say "pid $1 did not stop in $2 s: killed"
  kill -KILL "$1" 2>/dev/null || true
  for ((i = 0; i < 50; i++)); do [ -d "/proc/$1" ] || return 0; sleep 0.1; done
}

# halt PID: stops PID's children, then PID. (unshare waits for its child, pid 1 of
# the engine's namespace: that one must get the signal.)
halt() {
  local c
  for c in $(cat "/proc/$1/task/$1/children" 2> /dev/null); do stop "$c" 30; done
  stop "$1" 5
}

# other_roots: the --root folders of Dagger engines of this machine that are not ours.
other_roots() {
  local f line
  for f in /proc/[0-9]*/cmdline; do
    line=$({ tr '\0' '\n' < "$f"; } 2> /dev/null) || continue
    case $line in */dagger-engine$'\n'*) ;; *) continue ;; esac
    line=$(sed -n '/^--root$/{n;p;q}' <<< "$line")
    [ "$line" = "$E/state" ] || echo "${line:-?}"
  done
}

need_root() { [ "$(id -u)" = 0 ] || die "this needs root (mounts, namespaces, a network bridge)" "sudo -E make engine, or start Docker and let Dagger run its own engine"; }

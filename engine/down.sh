#!/bin/bash
# down.sh [--force]: gives up this checkout's hold on the engine; when nobody
# else holds it (or with --force), stops engine and registry, by pid, and leaves
# no trace but the cache. Works after kill -9, a half-done up.sh, or nothing at all.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
. "$HERE/leftovers.sh"
. "$HERE/holders.sh"
force=no
case ${1:-} in
  '') ;;
  --force) force=yes ;;
  *) die "down.sh does not know $1" "down.sh [--force]" ;;
esac
[ -d "$E" ] || { say "nothing to stop: no engine was ever started from $E"; exit 0; }
need_root
mkdir -p "$RUN"
exec 9> "$E/lock"
flock -w 600 9 || die "another up.sh or down.sh has had $E/lock for ten minutes" "see who: fuser -v $E/lock"

release
others=$(others)
if [ -n "$others" ] && [ $force = no ]; then
  say "left running: still held by $(paste -sd, <<< "$others" | sed 's/,/, /g') (down.sh --force stops it all the same)"
  exit 0
fi
was=no
for pid in $(engine_pid || true) $(registry_pid || true); do was=yes; halt "$pid"; done
rm -rf "$RUN/registry.pid" "$RUN/env" "$RUN/holders"
leftovers
if [ $was = yes ]; then say "stopped; the cache stays in $CACHE"; else say "was not running; what it may have left is gone"; fi

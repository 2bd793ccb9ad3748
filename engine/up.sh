#!/bin/bash
# up.sh: from this machine to a running Dagger engine and a file to source,
# CACHE/engine/run/env, which is all that a client needs. Where an engine is
# already named, or Docker answers, nothing is to be done: Dagger manages itself.
# Else (root, Debian): engine from Go modules (tools.sh), a registry on loopback,
# both running until down.sh; a second up.sh, of whatever checkout, joins them.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
. "$HERE/leftovers.sh"
. "$HERE/holders.sh"
ENV=$RUN/env
SOCK=$RUN/engine.sock
HOST=unix://$SOCK

if [ -n "${_EXPERIMENTAL_DAGGER_RUNNER_HOST:-}" ] && [ "$_EXPERIMENTAL_DAGGER_RUNNER_HOST" != "$HOST" ]; then
  say "nothing to do: _EXPERIMENTAL_DAGGER_RUNNER_HOST names $_EXPERIMENTAL_DAGGER_RUNNER_HOST"
  exit 0
fi
if [ "${LLCUDA_ENGINE:-}" != own ] && command -v docker > /dev/null && timeout 20 docker info > /dev/null 2>&1; then
  say "nothing to do: Docker answers, and Dagger starts its own engine there (LLCUDA_ENGINE=own builds ours all the same)"
  exit 0
fi
need_root
[ "$(uname -sm)" = "Linux x86_64" ] || die "the engine without Docker is for Linux on x86-64, this is $(uname -sm)" "start Docker: Dagger then runs its own engine"
[ ${#SOCK} -le 100 ] || die "the engine's socket would have a path of ${#SOCK} characters, Linux allows 107" "set LLCUDA_CACHE to a shorter path"
mkdir -p "$E" "$RUN" "$R/data" || die "the cache $CACHE cannot be written" "set LLCUDA_CACHE to a folder that can"
exec 9> "$E/lock"
flock -n 9 || { say "waiting for another up.sh or down.sh"; flock -w 1800 9 || die "$E/lock has been held for half an hour" "see who: fuser -v $E/lock"; }

# A running engine is used as it is, if this tree would have started the same.
key=$({ cat "$HERE/inner.sh"; "$HERE/tools.sh" --where; } | hash12) || exit 1
if engine_pid > /dev/null && [ -S "$SOCK" ] && registry_pid > /dev/null && [ -f "$ENV" ]; then
  if [ "$(cat "$RUN/engine.key" 2> /dev/null)" = "$key" ]; then
    hold
    say "already up, pid $(engine_pid); source $ENV"
    exit 0
  fi
  others=$(others)
  [ -z "$others" ] || die "the running engine was started from other pins or scripts, and is held by $others" "$HERE/down.sh --force, or another LLCUDA_CACHE"
  say "the running engine was started from other pins or scripts: starting anew"
fi
if engine_pid > /dev/null && [ -n "$(ss -Hx state established src "$SOCK")" ]; then
  die "the running engine must be started anew, and a client is connected to it" "wait for it, or $HERE/down.sh --force"
fi
"$HERE/check.sh" 9>&- || exit 1
bin=$("$HERE/tools.sh" 9>&-) || exit 1
# Whatever half an engine there is: away with it, and with what it left.
for p in "$(engine_pid || true)" "$(registry_pid || true)"; do
  [ -z "$p" ] || halt "$p"
done
leftovers

# Registry. Its port is part of every image's name, so the last one is kept if it is free.
free() { [ -z "$(ss -Hltn "sport = :$1")" ]; }
port=$(cat "$R/port" 2> /dev/null || true)
if [ -z "$port" ] || ! free "$port"; then
  first=$((20000 + 16#$(printf %s "$CACHE" | sha256sum | cut -c1-3)))
  for ((port = first; port < first + 200; port++)); do free $port && break; done
  free $port || die "no free TCP port between $first and $port for the registry" "stop what listens there: ss -ltnp"
  echo "$port" > "$R/port"
fi
reg=127.0.0.1:$port
cat > "$R/config.yml" << YML
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: $R/data}
  delete: {enabled: true}
http: {addr: $reg}
YML
OTEL_TRACES_EXPORTER=none setsid nohup docker-registry serve "$R/config.yml" > "$RUN/registry.log" 2>&1 < /dev/null 9>&- &
echo $! > "$RUN/registry.pid"
for ((i = 0; i < 100; i++)); do
  registry_pid > /dev/null || [ $i -lt 5 ] || break
  ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { i=ready; break; }
  sleep 0.1
done
[ "$i" = ready ] || die "the registry did not start on $reg: $(tail -1 "$RUN/registry.log")" "see $RUN/registry.log"

# Engine.
cat > "$RUN/engine.json" << JSON
{
  "logLevel": "info",
  "gc": { "maxUsedSpace": "40GB", "reservedSpace": "2GB", "minFreeSpace": "5%" },
  "registries": {
    "docker.io": { "mirrors": ["$reg"] },
    "$reg": { "http": true }
  }
}
JSON
cni=/usr/lib/cni
[ -x $cni/bridge ] || cni=/opt/cni/bin
rm -rf "$RUN/cni" "$E/tmp"
mkdir -p "$RUN/cni" "$E/tmp" "$E/state"
ln -s $cni/{bridge,loopback,firewall,host-local} "$bin/dnsname" "$RUN/cni/"
remember
cidr=$("$HERE/cidr.sh") || exit 1
echo "$cidr" > "$RUN/cidr"
mkdir -p /var/lib/cni
setsid nohup unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
  bash "$HERE/inner.sh" "$E" "$bin" "$NET" "$cidr" > "$RUN/engine.log" 2>&1 < /dev/null 9>&- &
pid=$!
echo $pid > "$RUN/engine.pid"
t0=$SECONDS
until [ -S "$SOCK" ] && grep -qF "running server on $SOCK" "$RUN/engine.log"; do
  [ -d /proc/$pid ] || die "the engine ended at once: $(tail -1 "$RUN/engine.log")" "see $RUN/engine.log, then $HERE/down.sh"
  [ $((SECONDS - t0)) -lt 60 ] || die "the engine was not ready in 60 s" "see $RUN/engine.log, then $HERE/down.sh"
  sleep 0.1
done
echo "$key" > "$RUN/engine.key"
cat > "$ENV.new" << SH
export _EXPERIMENTAL_DAGGER_RUNNER_HOST='$HOST'
export _EXPERIMENTAL_DAGGER_CLI_BIN='$bin/dagger'
export DO_NOT_TRACK=1 DAGGER_NO_NAG=1
export LLCUDA_REGISTRY=$reg
SH
mv "$ENV.new" "$ENV"
hold
say "up in $((SECONDS - t0)) s, pid $pid, registry $reg, bridge ${NET}0 $cidr; source $ENV"

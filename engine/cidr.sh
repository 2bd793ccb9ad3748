#!/bin/bash
# cidr.sh: from the host's routes and name servers to a /16 for the engine's
# bridge that hides none of them, on stdout. The search starts at a place that
# depends on the cache root, so that two engines seldom want the same.
set -euo pipefail
. "$(dirname "$0")/paths.sh"

# number A.B.C.D: the address as one integer; "10.1" is 10.1.0.0.
number() { local a b c d; IFS=. read -r a b c d <<< "$1"; echo $(((a << 24) + (${b:-0} << 16) + (${c:-0} << 8) + ${d:-0})); }

taken=()
while read -r dst; do
  case $dst in default | '' | *:*) continue ;; esac
  len=32
  case $dst in */*) len=${dst#*/} ;; esac
  taken+=("$(number "${dst%/*}") $len")
done < <(
  ip -4 route show table all | awk '{ if ($1 ~ /^(local|broadcast|unicast|blackhole|unreachable|prohibit|throw)$/) print $2; else print $1 }'
  awk '$1 == "nameserver" { print $2 }' /etc/resolv.conf 2> /dev/null || true
  # engines that have not made their bridge yet
  for f in /proc/[0-9]*/cmdline; do { tr '\0' '\n' < "$f"; } 2> /dev/null | sed -n '/^--network-cidr$/{n;p}' || true; done
)

start=$((16#$(printf %s "$CACHE" | sha256sum | cut -c1-2)))
for ((i = 0; i < 256; i++)); do
  n=$(((start + i) % 256))
  cand=$(((10 << 24) + (n << 16)))
  free=yes
  for t in "${taken[@]}"; do
    read -r addr len <<< "$t"
    [ "$len" -le 16 ] || len=16
    [ "$len" -gt 0 ] || continue
    if (((addr >> (32 - len)) == (cand >> (32 - len)))); then free=no; break; fi
  done
  if [ $free = yes ]; then echo "10.$n.0.0/16"; exit 0; fi
done
die "every 10.x.0.0/16 is already routed somewhere on this machine" "start Docker instead: Dagger then runs its own engine"

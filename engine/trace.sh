#!/bin/bash
# trace.sh: from this machine to a text of everything the engine could leave on
# it outside the cache, one fact a line, sorted within each block. Two snapshots
# are to be compared with diff; an engine that went away leaves them equal.
set -euo pipefail

block() { printf '\n[%s]\n' "$1"; }
ip() { if type -P ip > /dev/null; then command ip "$@" 2> /dev/null; fi; } # a bare machine has none
block links;      ip -o link | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }' | sort
block routes;     ip -4 route | sort
block ip_forward; cat /proc/sys/net/ipv4/ip_forward
# Empty tables that merely got loaded are no trace; neither are counters.
block iptables;   iptables-save 2> /dev/null | grep -E '^-A|^:.* - ' | sed 's/ \[[0-9:]*\]$//' | sort || true
block netns;      ip netns list | sort
block mounts;     awk '{ print $5, $9, $10 }' /proc/self/mountinfo | sort
block cgroups;    find /sys/fs/cgroup -maxdepth 5 -type d \( -name 'buildkit*' -o -name 'dagger*' \) 2> /dev/null | sort
for d in /etc /etc/dagger /etc/cni /var/lib /var/lib/cni /run /run/dagger /run/containers /usr/local/bin /usr/local/share; do
  block "ls $d"
  ls -A1 "$d" 2> /dev/null | sort || true
done
block processes # but not the dead that wait for init
grep -hs -E '^(Name|State):' /proc/[0-9]*/status | paste - - |
  awk '$4 != "Z" && $2 ~ /^(dagger|dnsmasq|docker-registry|runc|unshare)/ { print $2 }' | sort

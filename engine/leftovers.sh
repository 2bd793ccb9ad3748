# shellcheck shell=bash
# leftovers.sh: from a stopped engine (of whatever end) to a host without its
# traces. Sourced by up.sh, before a start, and by down.sh. Every step may find
# nothing to do. Taken away is only what carries our network's name or address
# range, or what no other engine of this machine may still be using.

# remember: what the host was like before the first engine, for restore.
# Another cache's engine has already changed it: then its memory is the true one.
remember() {
  local root before=$RUN/before
  [ ! -d "$before" ] || return 0
  root=$(other_roots)
  root=${root%%$'\n'*}
  if [ -n "$root" ] && [ -d "$root/../run/before" ]; then cp -r "$root/../run/before" "$before"; return 0; fi
  mkdir -p "$before"
  cat /proc/sys/net/ipv4/ip_forward > "$before/ip_forward"
  [ -d /var/lib/cni ] || touch "$before/no_var_lib_cni"
  cgroup_dirs > "$before/cgroups"
}

cgroup_dirs() { find /sys/fs/cgroup -maxdepth 5 -type d \( -name buildkit -o -name dagger \) 2> /dev/null | sort || true; }

leftovers() {
  local cidr net_re c before=$RUN/before
  cidr=$(cat "$RUN/cidr" 2> /dev/null || true)
  rm -f "$RUN/engine.pid" "$RUN/engine.sock" "$RUN/engine.key"
  ip link show "${NET}0" > /dev/null 2>&1 && ip link del "${NET}0"

  if command -v iptables > /dev/null; then
    # NAT: a chain and a jump per container, each with a comment that holds the network's name.
    net_re="name: .*\"$NET\\\\?\""
    rules nat POSTROUTING "$net_re"
    for c in $(iptables -t nat -S 2> /dev/null | grep -E -- "$net_re" | awk '{ print $2 }' | sort -u || true); do
      [ "$c" = POSTROUTING ] || { iptables -t nat -F "$c"; iptables -t nat -X "$c"; }
    done
    # Filter: two rules per container in CNI-FORWARD, by address.
    [ -z "$cidr" ] || rules filter CNI-FORWARD "(-s|-d) ${cidr%.0.0/16}\."
    rules filter INPUT "-i ${NET}0 "
    rules filter FORWARD "(-i|-o) ${NET}0( |$)"
    # The chains themselves, once nobody has a rule in them (the plugin makes them anew).
    if ! iptables -S CNI-FORWARD 2> /dev/null | grep -- '^-A' | grep -qv -- '-j CNI-ADMIN'; then
      rules filter FORWARD "-j CNI-FORWARD"
      { iptables -F CNI-FORWARD && iptables -X CNI-FORWARD; } 2> /dev/null || true
      iptables -X CNI-ADMIN 2> /dev/null || true
    fi
  fi

  if [ -d "$before" ] && [ -z "$(other_roots)" ]; then
    cat "$before/ip_forward" > /proc/sys/net/ipv4/ip_forward
    # rmdir only: a cgroup in use stays, and so does a folder with something in it
    for c in $(cgroup_dirs | grep -vxFf "$before/cgroups" || true); do find "$c" -depth -type d -exec rmdir {} \; 2> /dev/null || true; done
    [ ! -e "$before/no_var_lib_cni" ] || rmdir /var/lib/cni 2> /dev/null || true
  fi
  rm -rf "$before" "$RUN/cidr" "$E/tmp" "$E/ovl"
}

# rules TABLE CHAIN REGEX: deletes the rules of CHAIN that match, last first, by number.
rules() {
  local n
  iptables -t "$1" -S "$2" 2> /dev/null | grep '^-A' | grep -nE -- "$3" | cut -d: -f1 | sort -rn |
    while read -r n; do iptables -t "$1" -D "$2" "$n"; done || true
}

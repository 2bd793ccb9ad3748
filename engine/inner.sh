#!/bin/bash
# inner.sh ENGINEDIR BINDIR NETWORK CIDR: becomes the engine. up.sh starts it in
# private mount and pid namespaces, so that what is mounted here, and what the
# engine writes under /etc, /usr/local, /run and /var/lib/cni, ends with it, and
# so does every process it starts. Only the network (a bridge, iptables rules,
# ip_forward) and the cgroups are the host's: leftovers.sh takes those down.
set -euo pipefail
E=$1 bin=$2 net=$3 cidr=$4

mkdir -p "$E/ovl"
mount -t tmpfs -o mode=755 tmpfs "$E/ovl"
private() { # private DIR NAME: a writable layer over DIR that nobody else sees
  mkdir -p "$E/ovl/$2/u" "$E/ovl/$2/w"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$E/ovl/$2/u,workdir=$E/ovl/$2/w" "$1"
}
private /etc etc                # engine.json; resolv.conf; the engine runs update-ca-certificates
private /usr/local/bin bin      # fixed paths of runc and dagger-init
private /usr/local/share share  # the engine keeps its "content" here, and certificates
mkdir -p /etc/dagger
cp "$E/run/engine.json" /etc/dagger/engine.json
cp "$bin/dagger-init" /usr/local/bin/dagger-init
shim() { # shim NAME BEFORE AFTER: /usr/local/bin/NAME runs the real one with words before and after it
  local real
  real=$(command -v "$1")
  if [ "$real" = "/usr/local/bin/$1" ]; then mv "$real" "$real.real"; real=$real.real; fi
  printf '#!/bin/sh\nexec %s %s %s "$@"\n' "$2" "$real" "$3" > "$E/ovl/$1"
  chmod 755 "$E/ovl/$1"
  mv "$E/ovl/$1" "/usr/local/bin/$1"
}
# Addresses in the containers are not random: nvcc's cicc makes other code of some kernels
# when its memory lies elsewhere (docs/proof/reproducible.md), and a container's seccomp
# profile does not let it see to that itself.
shim runc "setarch $(uname -m) -R" ''
# The engine's DNS server would take port 53 of every address of the host: it
# fails beside another one, and answers the neighbours. Only the bridge, then.
shim dnsmasq '' --bind-dynamic
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount -t tmpfs tmpfs /var/lib/cni

ulimit -n "$(ulimit -Hn)"
export PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export TMPDIR=$E/tmp DO_NOT_TRACK=1
exec "$bin/dagger-engine" --root "$E/state" --addr "unix://$E/run/engine.sock" \
  --oci-cni-binary-dir "$E/run/cni" --network-name "$net" --network-cidr "$cidr"

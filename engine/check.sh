#!/bin/bash
# check.sh: from a machine to "yes, an engine can run here", by trying, or one
# sentence that names what is missing. Installs the Debian packages that are
# missing, and only those.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
docker="start Docker: Dagger then runs its own engine"
need_root

# Packages, told by what they bring.
missing=()
want() { [ -e "$1" ] || command -v "$1" > /dev/null || missing+=("$2"); }
want runc runc
[ -x /opt/cni/bin/bridge ] || want /usr/lib/cni/bridge containernetworking-plugins
want iptables iptables
want dnsmasq dnsmasq-base
want docker-registry docker-registry
want debootstrap debootstrap
want skopeo skopeo
want ip iproute2
want unshare util-linux
want openssl openssl
want update-ca-certificates ca-certificates
want zstd zstd
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get > /dev/null || die "missing here: ${missing[*]}, and there is no apt-get to install them" "install them, or $docker"
  say "installing ${missing[*]}"
  log=$(mktemp)
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 < /dev/null ||
    die "apt-get could not install ${missing[*]}: $(grep '^E:' "$log" | head -1)" "see $log; is the Debian mirror reachable?"
  rm -f "$log"
  # Debian's package starts a registry of its own, on port 5000; we want the program only.
  case " ${missing[*]} " in *" docker-registry "*)
    { if [ -d /run/systemd/system ]; then systemctl disable --now docker-registry; else update-rc.d docker-registry disable; fi; } > /dev/null 2>&1 || true ;;
  esac
fi

# Namespaces and overlayfs, over the root file system and on the cache's.
mkdir -p "$E"
probe=$(mktemp -d "$E/.probe.XXXXXX")
trap 'rm -rf "$probe"' EXIT
mkdir -p "$probe"/{l,u,w,m}
unshare --mount --propagation private --pid --fork --mount-proc true 2> /dev/null ||
  die "this machine lets root make no mount and pid namespaces (a container without privileges?)" "$docker"
try() { unshare --mount --propagation private sh -c "$1" try "$probe" 2> /dev/null; }
try 'nsenter --mount=/proc/self/ns/mnt test -d "$1"' ||
  die "this is a chroot: the engine's containers would be started outside it" "enter the folder with pivot_root (systemd-nspawn and containers do), or $docker"
try 'mount -t overlay overlay -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" "$1/m"' ||
  die "overlayfs does not work on the file system of $CACHE ($(stat -f -c %T "$E"))" "set LLCUDA_CACHE to a folder on ext4 or xfs, or $docker"
try 'mount -t tmpfs tmpfs "$1/m" && mkdir "$1/m/u" "$1/m/w" && mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/m/u,workdir=$1/m/w" /etc' ||
  die "overlayfs does not work over /etc here ($(stat -f -c %T /etc))" "$docker"

# cgroups: version 2, or version 1 with the memory controller; writable.
c=/sys/fs/cgroup
[ -e $c/cgroup.controllers ] || c=/sys/fs/cgroup/memory
{ mkdir "$c/llcuda-probe.$$" && rmdir "$c/llcuda-probe.$$"; } 2> /dev/null ||
  die "cgroups cannot be made under $c" "$docker"

# Disk: 40 GB for a cold build of every cell; with less than 15 the first one fails late.
free=$(($(df -Pk "$E" | awk 'NR == 2 { print $4 }') / 1000000))
[ "$free" -ge "${LLCUDA_MIN_DISK_GB:-15}" ] ||
  die "$free GB are free on the file system of $CACHE, a build wants 40 and cannot do with less than ${LLCUDA_MIN_DISK_GB:-15}" "free some, or set LLCUDA_CACHE to a larger disk"
[ "$free" -ge 40 ] || say "warning: $free GB are free on the file system of $CACHE, a cold build of all cells wants 40"

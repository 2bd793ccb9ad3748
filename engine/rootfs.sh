#!/bin/bash
# rootfs.sh NAME OUTDIR [BASEDIR]: from recipes/NAME.conf to the files of one image layer
# in OUTDIR (must not exist; appears whole, by rename, or not at all).
#   a recipe without BASE: a Debian root by debootstrap, plus PACKAGES installed in it
#   a recipe with BASE:    what rootfs-cuda.sh takes out of PACKAGES, to lie over
#                          BASEDIR, the base's own OUTDIR
# The mirror is the one apt uses here (mirror.sh). Nothing of the host's apt is changed.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
[ $# -ge 2 ] || die "rootfs.sh wants NAME OUTDIR [BASEDIR]" "rootfs.sh cpu /var/tmp/cpu"
name=$1 out=$2
[ -f "$HERE/recipes/$name.conf" ] || die "there is no recipe $name" "one of: $(cd "$HERE/recipes" && echo *.conf | sed 's/\.conf//g')"
need_root
[ ! -e "$out" ] || die "$out exists" "name a folder that does not"
BASE=''
. "$HERE/recipes/$name.conf"
if [ -n "$BASE" ]; then
  [ -d "${3:-}" ] || die "$name lies over $BASE: name that root too" "rootfs.sh $name $out BASEDIR"
  exec "$HERE/rootfs-cuda.sh" "$name" "$out" "$3"
fi
command -v debootstrap > /dev/null || die "debootstrap is missing" "apt-get install debootstrap"

mirror=$("$HERE/mirror.sh") || exit 1
list=$(awk 'NF { print $1 }' <<< "$PACKAGES" | paste -sd' ')
part=$out.partial
log=$out.log
[ -d "$(dirname "$out")" ] || mkdir -p "$(dirname "$out")"
rm -rf --one-file-system "$part"
umask 022

say "debootstrap $SUITE (about a minute; log: $log)"
debootstrap --variant=minbase "$SUITE" "$part" "$mirror" > "$log" 2>&1 ||
  die "debootstrap could not make a $SUITE root ($(tail -1 "$log"))" "see $log; is the Debian mirror reachable?"

inside() { chroot "$part" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
say "installing $(wc -w <<< "$list") packages and what they need"
# A chroot has no init: no package may try to start a service in it.
printf '#!/bin/sh\nexit 101\n' > "$part/usr/sbin/policy-rc.d" && chmod 755 "$part/usr/sbin/policy-rc.d"
# shellcheck disable=SC2086
{ inside apt-get -q -o Acquire::Check-Valid-Until=false update &&
  inside apt-get -q -y --no-install-recommends install $list; } >> "$log" 2>&1 ||
  die "apt-get could not install $list in the $SUITE root" "see $log; is the Debian mirror reachable?"
inside dpkg-query -W -f '${Package} ${Version}\n' > "$part.packages"

# What differs from one run to the next, or is of no use in an image.
rm -f "$part/usr/sbin/policy-rc.d"
rm -rf "$part"/var/lib/apt/lists/* "$part"/var/cache/{apt,ldconfig,debconf}/* "$part"/var/log/* "$part"/tmp/* "$part"/run/* \
  "$part"/etc/{machine-id,resolv.conf,hostname,.pwd.lock} "$part"/var/lib/dpkg/*-old "$part"/var/lib/systemd \
  "$part"/usr/share/{doc,man,info,locale} "$part"/etc/apt/sources.list "$part"/var/cache/man
# The mirror's name stays out of the image; who wants apt in it writes sources.list.
: > "$part/etc/apt/sources.list"
sed -i 's/^\([^:]*:[^:]*:\)[0-9]*:/\118000:/' "$part/etc/shadow" # date of the last password change
install -D -m 644 "$part.packages" "$part/usr/local/share/llcuda/packages.txt"
rm -f "$part.packages"
mv "$part" "$out"

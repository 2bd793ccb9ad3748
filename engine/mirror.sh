#!/bin/bash
# mirror.sh: from apt's own configuration to the URL of the Debian mirror that
# this machine uses, on stdout. apt itself parses its files (deb822 .sources and
# classic sources.list alike), so no mirror's name stands in this project.
#   LLCUDA_DEBIAN_MIRROR   overrides, for machines that are not Debian
set -euo pipefail
. "$(dirname "$0")/paths.sh"

if [ -n "${LLCUDA_DEBIAN_MIRROR:-}" ]; then echo "${LLCUDA_DEBIAN_MIRROR%/}"; exit 0; fi
cure="set LLCUDA_DEBIAN_MIRROR to the URL of a Debian mirror"
command -v apt-get > /dev/null || die "apt-get is missing: no Debian mirror is known" "$cure"
. /etc/os-release
[ "${ID:-}" = debian ] || die "this is ${PRETTY_NAME:-not Debian}: apt's mirror here has no Debian packages" "$cure"

# SITE of the archive that offers the running release's own "main", not its security or updates.
url=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Identifier: Packages' |
  awk -v s="${VERSION_CODENAME:-}" '($1 == s || $1 == "stable") && $2 == "main" { print $3; exit }')
[ -n "$url" ] || die "apt's sources name no Debian archive for ${VERSION_CODENAME:-this release}" "$cure"
case $url in
  mirror+file:*) url=$(awk '!/^#/ && NF { print $1; exit }' "${url#mirror+file:}" 2> /dev/null || true) ;;
esac
case $url in
  http://* | https://*) echo "${url%/}" ;;
  *) die "apt's mirror $url is of a kind debootstrap cannot read" "$cure" ;;
esac

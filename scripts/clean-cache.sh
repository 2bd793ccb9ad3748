#!/bin/bash
# clean-cache.sh: removes everything that is kept outside the clone.
. "$(dirname "$0")/env.sh"
case $CACHE in */llcuda) ;; *) die "$CACHE does not look like this project's cache; remove it by hand" ;; esac
[ -d "$CACHE" ] || { echo "no cache at $CACHE"; exit 0; }
if findmnt -rno TARGET | grep -qF "$CACHE/"; then die "something is still mounted below $CACHE: run make engine-stop first"; fi
du -sh "$CACHE"
chmod -R u+w "$CACHE"
rm -rf "$CACHE"
echo "removed $CACHE"

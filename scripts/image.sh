#!/bin/bash
# image.sh RECIPE PUBLIC: prints the image to build in, for --image: nothing
# where a registry gives PUBLIC, the image that the matrix names; else the
# stand-in that engine/image.sh makes out of Debian's packages (its RECIPE).
. "$(dirname "$0")/env.sh"
recipe=$1 public=$2
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
# What the registry of this machine has is no stand-in: a matrix that names it means it.
[ -z "${LLCUDA_REGISTRY:-}" ] || case $public in "$LLCUDA_REGISTRY"/*) exit 0 ;; esac
case $public in */*) ;; *) public=library/$public ;; esac
if [ "${LLCUDA_STAND_IN:-}" != always ]; then
  if [ -z "${LLCUDA_REGISTRY:-}" ]; then exit 0; fi # Docker or a named engine: it pulls
  if timeout 15 skopeo inspect --raw "docker://docker.io/$public" >/dev/null 2>&1; then exit 0; fi
fi
say "no registry gives $public here: building in a stand-in made of Debian's packages (engine/recipes/$recipe.conf)"
"$ROOT/engine/image.sh" "$recipe"

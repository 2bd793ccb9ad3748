#!/bin/bash
# bundle-fixture.sh OUT CELL...: builds CUDA cells of the fixture in testdata/
# through the running Dagger engine into OUT, all at once.
. "$(dirname "$0")/env.sh"
out=$1
shift
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
cd "$ROOT"
args=(build "$@" --source testdata/fixture --out "$out")
for version in 11.8.0 12.4.1; do
  case " $* " in *" cuda${version%.*}-"*) ;; *) continue ;; esac
  image=$(scripts/cuda-image.sh "$version")
  [ -z "$image" ] || args+=(--image "$version=$image")
done
say "llcuda-build ${args[*]}"
bin/llcuda-build "${args[@]}" || { code=$?; logs "$out"; exit "$code"; }

#!/bin/bash
# cicc.sh IMAGE SOURCE: what nvcc's cicc makes of one large kernel of llama.cpp, in a
# container of the running engine: in folders of three names; with addresses as this
# engine's containers have them and with random ones; with jemalloc as reuse-tool.sh
# tells it to be and as it is; three times each. Prints folder, personality,
# kernel.randomize_va_space, and the SHA-256 of the PTX each time.
set -euo pipefail
inside() { # runs in the container
  unit=fattn-tile-instance-dkq112-dv112
  for dir in /src /rcs /again/source; do
    mkdir -p "$dir" "/tmp/work$dir/keep"
    [ "$dir" = /src ] || cp -r /src/ggml "$dir"
    cd "/tmp/work$dir"
    ggml=$dir/ggml/src/ggml-cuda
    call=(nvcc -ccbin g++-10 -std=c++17 -O3 -use_fast_math -extended-lambda -arch=compute_75 -DNDEBUG -I"$dir/ggml/include" -I"$dir/ggml/src" -I"$ggml"
      -Xcompiler "-ffile-prefix-map=$dir=." -ptx --keep --keep-dir keep -o a.ptx "$ggml/template-instances/$unit.cu")
    "${call[@]}"
    plan=$("${call[@]}" --dryrun 2>&1)
    PATH=$(sed -n 's/^#\$ PATH=//p' <<<"$plan" | head -n 1)
    # nvcc 11.8 would name the module after a process; reuse-tool.sh names it so.
    sed -n '/^#\$ cicc /{s/^#\$ //;s/--gen_module_id_file//;p}' <<<"$plan" >call
    printf %s _4fe423c3_34_fattn_tile_cu_9b0aff9f >"keep/$unit.module_id"
    export MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1
    # Without -R setarch sets the personality back.
    for how in "" "env -u MALLOC_CONF" "setarch $(uname -m)"; do
      sums=
      for _ in 1 2 3; do
        $how sh call >/dev/null
        sums+=" $(sha256sum a.ptx | cut -c 1-12)"
      done
      echo "$dir ${how:+($how) }$($how cat /proc/self/personality) $(cat /proc/sys/kernel/randomize_va_space)$sums"
    done
  done
}
if [ "$1" = --inside ]; then inside; exit; fi
image=$1 source=$(realpath "$2")
# shellcheck disable=SC1091 # written by engine/up.sh
. "${LLCUDA_CACHE:-$HOME/.cache/llcuda}/engine/run/env"
"$_EXPERIMENTAL_DAGGER_CLI_BIN" -s core container from --address="$image" \
  with-mounted-directory --path=/src --source="$source" \
  with-mounted-file --path=/cicc.sh --source="$(realpath "$0")" \
  with-env-variable --name=NOW --value="$(date +%s%N)" \
  with-exec --args=bash,/cicc.sh,--inside stdout

#!/bin/bash
# reuse-units.sh TREE UNIT…: what an nvcc call for three SMs costs after a call for each of
# them, with matrix/reuse.sh and nvcc 12.4. TREE is llama.cpp, a UNIT a file of its
# ggml/src/ggml-cuda; units are compiled one after the other, each on one core. Run where
# `make build && make images` was, with the engine up (engine/up.sh), in the repository's
# root. It prints a line for each call: seconds, runs of cicc and ptxas that were reused,
# and the first digits of each cubin's SHA-256.
set -eu
if [ "${1:-}" != inside ]; then
  # shellcheck disable=SC1091 # written by engine/up.sh
  . "${XDG_CACHE_HOME:-$HOME/.cache}/llcuda/engine/run/env"
  # The command is given in words: none of them holds a blank.
  tree=$1
  shift
  exec "$_EXPERIMENTAL_DAGGER_CLI_BIN" core --silent container from "--address=$LLCUDA_REGISTRY/llcuda/cuda-devel:12.4.1-bullseye" \
    with-mounted-directory --path=/src "--source=$tree/ggml" with-mounted-directory --path=/llcuda-build "--source=$PWD" \
    with-env-variable --name=NOW "--value=$(date +%s)" with-exec "--args=bash,/llcuda-build/docs/proof/reuse-units.sh,inside,$(IFS=,; echo "$*")" stdout
fi
export PATH=/usr/local/cuda/bin:$PATH LLCUDA_REUSE LLCUDA_REUSE_LOG=/tmp/log
m=/llcuda-build/matrix
sh -euc "$(cat $m/reuse.sh)" prepare "$(cat $m/reuse-tool.sh)" "$(cat $m/reuse-host.sh)" $LLCUDA_REUSE_LOG g++-10
mkdir /tmp/bld
cd /tmp/bld
# call NAME UNIT SM…
call() {
  local name=$1 unit=$2 from sm archs=()
  shift 2
  for sm; do archs+=("--generate-code=arch=compute_$sm,code=[sm_$sm]"); done
  : >$LLCUDA_REUSE_LOG
  rm -f ./*
  from=$(date +%s%N)
  nvcc -forward-unknown-to-host-compiler -ccbin /llcuda/bin/g++-10 -DGGML_BACKEND_BUILD -DGGML_BACKEND_DL -DGGML_CUDA_PEER_MAX_BATCH_SIZE=128 -DGGML_SCHED_MAX_COPIES=4 -DGGML_SHARED \
    -D_GNU_SOURCE -D_XOPEN_SOURCE=600 -DNDEBUG -I/src/include -I/src/src -Xcompiler=-ffile-prefix-map=/src=. -O3 -std=c++17 "${archs[@]}" -use_fast_math -extended-lambda -Xcompiler=-fPIC \
    -x cu -c "/src/src/ggml-cuda/$unit" -o unit.o 2>/dev/null
  printf '%s %s %d.%d s, reused %d of %d:' "${unit##*/}" "$name" $((($(date +%s%N) - from) / 1000000000)) $((($(date +%s%N) - from) / 100000000 % 10)) \
    "$(grep -c '^reused' $LLCUDA_REUSE_LOG || :)" "$(wc -l <$LLCUDA_REUSE_LOG)"
  cuobjdump -xelf all unit.o >/dev/null
  sha256sum ./*.cubin | cut -c 1-12 | sort | sed 's/^/ /' | tr -d '\n'
  echo
}
shift
for unit; do
  LLCUDA_REUSE='' call alone "$unit" 80 86 89
  LLCUDA_REUSE=/tmp/kept
  for sm in 80 86 89; do call "sm_$sm" "$unit" $sm; done
  call after "$unit" 80 86 89
done

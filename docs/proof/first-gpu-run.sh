#!/bin/bash
# first-gpu-run.sh BIN SOURCE WORK [CELL]: the whole product once, on a machine
# with an NVIDIA GPU, nvcc, cmake and ninja, without Go and without containers.
#
#   BIN     folder with llcuda-build, llcuda-run and ask (scripts/ask, built)
#   SOURCE  real llama.cpp: a folder, a git URL or a git bundle
#   WORK    folder for everything that this makes; must not exist
#   CELL    cuda13.0-sm90 unless given: it must suit the nvcc and the GPU here
#
# RUNTIME=host leaves NVIDIA's libraries out of the release, a minute less.
#
# build (with inspect, verify and pack) → keygen → publish → doctor → why →
# serve → one chat completion → SIGTERM. What it found is in docs/proof/.
# shellcheck disable=SC2016 # sh -c expands
set -euo pipefail
missed=

step() { # step NAME EXIT COMMAND...: runs it, says how it ended and how long it took
  local name=$1 want=$2 code=0 from=$EPOCHREALTIME
  shift 2
  printf '\n=== %s: %s\n' "$name" "$*"
  "$@" || code=$?
  printf '=== %s: exit %s after %.1f s\n' "$name" "$code" "$(awk "BEGIN{print $EPOCHREALTIME-$from}")"
  [ "$code" = "$want" ] || { echo "!!! $name ended with $code, not $want"; missed="$missed $name"; }
}

# serve NAME: starts the server, asks it once, shows that it is on the GPU, ends it.
serve() {
  local name=$1 from=$EPOCHREALTIME server child url code=0
  printf '\n=== %s: llcuda-run serve tiny -v --port 0\n' "$name"
  "$bin/llcuda-run" serve tiny -v --port 0 >"$work/$name.url" 2>"$work/$name.log" &
  server=$!
  while [ ! -s "$work/$name.url" ] && kill -0 "$server" 2>/dev/null; do sleep 0.05; done
  printf '=== %s: ready or ended after %.2f s\n' "$name" "$(awk "BEGIN{print $EPOCHREALTIME-$from}")"
  url=$(head -n 1 "$work/$name.url")
  if [ -z "$url" ]; then
    wait "$server" || code=$?
    cat "$work/$name.log"
    echo "!!! $name ended with $code"
    missed="$missed $name"
    return
  fi
  grep '^llcuda-run: ' "$work/$name.log"
  grep -E 'libraries of this host|variable not passed' "$work/$name.log" || true
  grep -E 'device_info|  - [A-Z]+[0-9]* |offloaded|model buffer size' "$work/$name.log" || true
  step "$name-chat" 0 "$bin/ask" "$url" "Say hello."
  child=$(awk -v p="$server" '$2 == "(llama-server)" && $4 == p {print $1}' /proc/[0-9]*/stat 2>/dev/null || true)
  echo "--- CUDA libraries that llama-server has mapped"
  awk '/\/lib(cuda|cudart|cublas|cublasLt|ggml-cuda|ggml-cpu)[-.a-z0-9]*\.so/ {print $NF}' "/proc/$child/maps" | sort -u || true
  echo "--- what holds the GPU (pid of llama-server here: $child)"
  nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv || true
  kill -TERM "$server"
  wait "$server" || code=$?
  echo "=== $name: exit $code after SIGTERM"
  [ "$code" = 0 ] || missed="$missed $name-exit"
  if [ -z "$child" ] || kill -0 "$child" 2>/dev/null; then echo "!!! llama-server $child is still there"; missed="$missed $name-gone"; fi
}

main() {
  bin=$(realpath "$1") source=$(realpath "$2") work=$3
  local cell=${4:-cuda13.0-sm90} matrix
  matrix=$(realpath "$(dirname "$0")/../../matrix/cuda.yaml")
  mkdir "$work"
  work=$(realpath "$work")
  cd "$work"
  export LLCUDA_CACHE=$work/cache LLCUDA_HOME=$work/home

  step machine 0 sh -c 'uname -r; . /etc/os-release; echo "$PRETTY_NAME"; nproc; ldd --version | head -1; c++ --version | head -1
    nvcc --version | tail -2; cmake --version | head -1; ninja --version; cuobjdump --version | tail -2 | head -1
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,uuid,pci.bus_id --format=csv'
  step versions 0 sh -c '"$0/llcuda-build" --version; "$0/llcuda-run" --version' "$bin"
  step doctor-alone 0 "$bin/llcuda-run" doctor
  step build 0 "$bin/llcuda-build" build "$cell" --matrix "$matrix" --builder host --source "$source" --out "$work/dist" --timings ${RUNTIME:+--runtime "$RUNTIME"}
  [ -z "$missed" ] || exit 1
  step sizes 0 sh -c 'ls -l "$0"/dist "$0/dist/cells/$1"; du -sb "$0/dist/cells/$1"' "$work" "$cell"
  step inspect 0 "$bin/llcuda-build" inspect "$work/dist/cells/$cell/libggml-cuda.so"
  step verify-folder 0 "$bin/llcuda-build" verify "$work/dist/cells/$cell" --matrix "$matrix"
  step keygen 0 "$bin/llcuda-build" keygen --no-password "$work/proof.key"
  step publish 0 "$bin/llcuda-build" publish proof-1 "$work/dist" --to "dir:$work/releases" --sign-key "$work/proof.key" --partial # one cell: no release by the promise
  export LLCUDA_FROM=$work/releases LLCUDA_KEY=$work/proof.key.pub
  step doctor 0 "$bin/llcuda-run" doctor --from "$work/releases" --key "$work/proof.key.pub"
  step doctor-json 0 sh -c '"$0/llcuda-run" doctor --json | tee "$1/doctor.json"' "$bin" "$work"
  step why 0 "$bin/llcuda-run" why
  step why-replayed 0 "$bin/llcuda-run" why --facts "$work/doctor.json"
  step why-no-visible-gpu 3 env CUDA_VISIBLE_DEVICES=-1 "$bin/llcuda-run" why
  step why-old-driver 3 "$bin/llcuda-run" why --facts "$work/doctor.json" --driver 570.26
  serve first-serve
  serve second-serve
  step cpu-is-not-in-this-release 3 "$bin/llcuda-run" serve tiny --cpu --port 0
  step ls 0 "$bin/llcuda-run" ls
  printf '\n=== done; not as expected:%s\n' "${missed:- nothing}"
  [ -z "$missed" ]
}

main "$@"; exit

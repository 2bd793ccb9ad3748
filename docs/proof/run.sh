#!/bin/bash
# run.sh [-w WORK] [-o OUT] SECTION...: the proof on this machine's NVIDIA GPU. It
# lies in the folder tree that `make proof-gpu` made, beside what it uses, and needs
# neither Go nor containers nor a network.
#
#   oracle     some 400 small programs: what `llcuda-run why` predicts of each
#              against what the driver does (more with nvcc 13.0 on PATH)
#   main       real llama.cpp, built here, verified, published to a folder, served
#              (needs llama.bundle, nvcc, cmake, ninja; first-gpu-run.sh)
#   speed      tokens per second of what main built beside a native build of the
#              same tree; machine code beside PTX compiled at the first start; from
#              nothing to the first token; what serve adds (needs main's bundle)
#   elsewhere  a bundle that was built on another machine, with the runtime that came
#              with it: why, selftest, serve, tokens per second (needs the folder
#              elsewhere: make proof-gpu BUNDLE=DIST)
#   story      bundles that are broken on purpose (222, 209, no cuBLAS, half a library):
#              selftest must catch each and end up on the good one (needs main's bundle)
#
#   -w WORK    scratch folder; kept, so that sections may be run one by one (default: work in the tree)
#   -o OUT     where results go: text and JSON, some 100 kB a section (default: out in the tree)
#
# A section is a function section_NAME below; what it finds out goes into
# $out/NAME.log. Each ends with a line "=== NAME: as expected" or with what was not.
# shellcheck disable=SC2016,SC2317 # sh -c expands; sections are called by name
set -euo pipefail
here=$(realpath "$(dirname "$0")/../..") bin=$here/bin work='' out='' missed=''

say() { printf '\n=== %s\n' "$*"; }
since() { awk "BEGIN{printf \"%.2f\", $EPOCHREALTIME-$1}"; }
wrong() { echo "!!! $*"; missed="$missed; $*"; }

step() { # step NAME EXIT COMMAND...: runs it, says how it ended and how long it took
  local name=$1 want=$2 code=0 from=$EPOCHREALTIME
  shift 2
  say "$name: $*"
  "$@" || code=$?
  echo "=== $name: exit $code after $(since "$from") s"
  [ "$code" = "$want" ] || wrong "$name ended with $code, not $want"
}

unpack() { # unpack FILE.tar.xz DIR: some images have no xz
  if command -v xz > /dev/null; then xz -dc "$1"; else python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"; fi | tar -C "$2" -xf -
}

section_machine() {
  date -u +%Y-%m-%dT%H:%M:%SZ
  echo "commit $(cat "$here/commit")"
  uname -r
  sh -c '. /etc/os-release; echo "$PRETTY_NAME"'
  nproc
  ldd --version | sed -n 1p
  nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv
  nvcc --version 2> /dev/null || echo "no nvcc"
}

section_oracle() {
  local programs=$work/programs nvcc version
  mkdir -p "$programs"
  unpack "$here/programs.tar.xz" "$programs"
  if nvcc=$(command -v nvcc); then
    nvcc=$(realpath "$nvcc")
    version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
    if [ "$version" = 13.0 ]; then
      step make-13.0 0 "$bin/oracle" make -out "$programs" -nvcc "13.0=$nvcc"
    else
      echo "nvcc $version: the table has no programs for it, those of 11.8 and 12.4 are run"
    fi
  else
    echo "no nvcc here: the programs of 11.8 and 12.4 are run"
  fi
  step oracle-run 0 "$bin/oracle" run -llcuda-run "$bin/llcuda-run" -out "$out" -commit "$(cat "$here/commit")" "$programs"/[0-9]*
}

section_main() {
  [ -f "$here/llama.bundle" ] || { wrong "no llama.bundle: make proof-gpu SOURCE=1"; return; }
  rm -rf "$work/main"
  step main 0 "$here/docs/proof/first-gpu-run.sh" "$bin" "$here/llama.bundle" "$work/main"
}

# native: the same tree as main's, built for this machine alone, with PTX beside the
# machine code and nothing compressed (the kernels of speed's and story's broken bundles).
native() {
  [ -x "$work/native/bin/llama-bench" ] && return
  # A build that was broken off is gone on with.
  [ -f "$work/native/build.ninja" ] || { rm -rf "$work/native" "$work/tree"; git clone -q "$here/llama.bundle" "$work/tree"; }
  cmake -S "$work/tree" -B "$work/native" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_CPU_ALL_VARIANTS=ON -DGGML_OPENMP=OFF \
    -DGGML_CUDA=ON -DGGML_CUDA_NCCL=OFF -DGGML_CUDA_CUB_3DOT2=OFF -DGGML_CUDA_COMPRESSION_MODE=none -DCMAKE_CUDA_ARCHITECTURES="$(sm)" \
    -DGGML_CCACHE=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_BORINGSSL=OFF -DLLAMA_BUILD_LIBRESSL=OFF -DLLAMA_LLGUIDANCE=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_IS_DEV=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$ORIGIN' > "$work/native.log" 2>&1
  cmake --build "$work/native" --target llama-bench llama-server >> "$work/native.log" 2>&1
}
sm() { nvidia-smi --query-gpu=compute_cap --format=csv,noheader | sed -n '1s/\.//p'; }
cell() { basename "$(dirname "$(find "$work/main/dist/cells" -name libggml-cuda.so | sed -n 1p)")"; }

# bench DIR: tokens per second of a llama-bench, "prompt generation".
bench() {
  "$1/llama-bench" -m "$work/model.gguf" -p 512,4096 -n 128 -r 5 -o jsonl 2> "$work/bench.err" |
    python3 -c 'import json, sys; print(*["%.1f" % json.loads(l)["avg_ts"] for l in sys.stdin])' || { cat "$work/bench.err" >&2; return 1; }
}

# ready URL PID: waits until a server answers /health with 200; false where it ended.
ready() {
  local host=${1#http://} line
  while kill -0 "$2" 2> /dev/null; do
    if exec 3<> "/dev/tcp/${host%:*}/${host##*:}"; then
      printf 'GET /health HTTP/1.0\r\n\r\n' >&3
      read -r line <&3 || true
      exec 3>&-
      case $line in *" 200 "*) return 0 ;; esac
    fi 2> /dev/null
    sleep 0.02
  done
  return 1
}

# native alone, so that it may run beside main.
section_native() { native || { tail -20 "$work/native.log"; wrong "the native build failed"; }; }

section_speed() {
  [ -d "$work/main/dist/cells" ] || { wrong "speed needs what the section main built"; return; }
  local ours=$work/main/dist/cells from i a b cache=$work/jit
  ours=$ours/$(cell)
  from=$EPOCHREALTIME
  native || { tail -20 "$work/native.log"; wrong "the native build failed"; return; }
  say "native build: $(since "$from") s"
  [ -f "$work/model.gguf" ] || "$bin/model" "$work/model.gguf"
  ls -l "$work/model.gguf"

  # A process of its own each, in alternation: the host's other work makes some of them
  # slow, by a tenth, and none fast. So the best of many is held to 0.99.
  say "tokens per second, prompts of 512 and 4096, 128 generated, 24 turns of 5 in alternation (512, 4096, generation)"
  : > "$work/ours.ts"; : > "$work/native.ts"
  bench "$ours" > /dev/null; bench "$work/native/bin" > /dev/null # the files into memory, the card to its clock
  for i in $(seq 24); do
    if ((i % 2)); then a=$(bench "$ours"); b=$(bench "$work/native/bin"); else b=$(bench "$work/native/bin"); a=$(bench "$ours"); fi
    echo "turn $i: bundle $a, native $b"
    echo "$a" >> "$work/ours.ts"; echo "$b" >> "$work/native.ts"
  done
  python3 - "$work/ours.ts" "$work/native.ts" <<'PY' || wrong "slower than 0.99 of the native build"
import statistics, sys
ours, native = ([[float(x) for x in l.split()] for l in open(f)] for f in sys.argv[1:])
low = []
for k, what in enumerate(["prompt of 512", "prompt of 4096", "generation"]):
    a, b = [r[k] for r in ours], [r[k] for r in native]
    low.append(max(a) / max(b))
    print(f"ratio {what}: best {low[-1]:.4f}, median {statistics.median(a) / statistics.median(b):.4f}, lowest to highest {min(a):.0f} to {max(a):.0f} and {min(b):.0f} to {max(b):.0f}")
sys.exit(min(low) < 0.99)
PY

  say "the first start: machine code, PTX compiled then (empty cache), PTX from the cache (seconds of llama-bench -p 16 -n 1)"
  first() { local f=$EPOCHREALTIME; env "$@" "$work/native/bin/llama-bench" -m "$work/model.gguf" -p 16 -n 1 -r 1 > /dev/null 2>&1 || wrong "llama-bench with $*"; since "$f"; echo; }
  rm -rf "$cache"
  echo "machine code: $(first A=) $(first A=) $(first A=)"
  echo "PTX, empty cache: $(first CUDA_FORCE_PTX_JIT=1 CUDA_CACHE_PATH="$cache" CUDA_CACHE_MAXSIZE=4294967296)"
  echo "PTX, from the cache: $(first CUDA_FORCE_PTX_JIT=1 CUDA_CACHE_PATH="$cache" CUDA_CACHE_MAXSIZE=4294967296)"
  du -sh "$cache"

  say "from nothing installed to the first answer, out of a folder; then installed; then llama-server alone (seconds to ready, to the answer)"
  export LLCUDA_FROM=$work/main/releases LLCUDA_KEY=$work/main/proof.key.pub LLCUDA_HOME=$work/speed-home
  rm -rf "$LLCUDA_HOME"
  served nothing
  : > "$work/serve.s"; : > "$work/alone.s"
  for i in 1 2 3 4 5 6 7; do
    served "installed, turn $i" serve.s
    alone "llama-server alone, turn $i" alone.s
  done
  echo "median: served ready $(median 1 serve.s), answered $(median 2 serve.s); alone ready $(median 1 alone.s), answered $(median 2 alone.s)"
}
median() { awk -v c="$1" '{ print $c }' "$work/$2" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# served WHAT [FILE]: `llcuda-run serve` of the model, until ready and until an answer.
served() {
  local from url pid a b
  rm -f "$work/url" # the last one's
  from=$EPOCHREALTIME
  "$bin/llcuda-run" serve "$work/model.gguf" --port 0 > "$work/url" 2> "$work/serve.log" &
  pid=$!
  while [ ! -s "$work/url" ] && kill -0 "$pid" 2> /dev/null; do sleep 0.005; done
  url=$(sed -n 1p "$work/url") a=$(since "$from")
  "$bin/ask" "$url" "Say hello." > /dev/null || wrong "no answer ($1)"
  b=$(since "$from")
  echo "$1: ready $a, answered $b"
  [ -z "${2:-}" ] || echo "$a $b" >> "$work/$2"
  kill -TERM "$pid"; wait "$pid" || wrong "serve ended with $? ($1)"
}

# alone WHAT FILE: the same of llama-server started by hand.
alone() {
  local from=$EPOCHREALTIME pid a b
  "$work/main/dist/cells/$(cell)/llama-server" -m "$work/model.gguf" --host 127.0.0.1 --port 18080 > "$work/server.log" 2>&1 &
  pid=$!
  ready http://127.0.0.1:18080 "$pid" || { tail -5 "$work/server.log"; wrong "llama-server alone did not start"; return; }
  a=$(since "$from")
  "$bin/ask" http://127.0.0.1:18080 "Say hello." > /dev/null || wrong "no answer of llama-server alone"
  b=$(since "$from")
  echo "$1: ready $a, answered $b"
  echo "$a $b" >> "$work/$2"
  kill -TERM "$pid"; wait "$pid" || true
}

section_elsewhere() {
  local server dirs
  [ -d "$here/elsewhere/releases" ] || { wrong "no elsewhere: make proof-gpu BUNDLE=DIST"; return; }
  export LLCUDA_FROM=$here/elsewhere/releases LLCUDA_KEY=$here/elsewhere/proof.key.pub LLCUDA_HOME=$work/elsewhere-home
  rm -rf "$LLCUDA_HOME"
  step why 0 "$bin/llcuda-run" why
  step why-json 0 sh -c '"$0/llcuda-run" why --json > "$1/why.json"' "$bin" "$work"
  step selftest 0 "$bin/llcuda-run" selftest
  step selftest-json 0 sh -c '"$0/llcuda-run" selftest --json > "$1/elsewhere.json"' "$bin" "$out"
  [ -f "$work/model.gguf" ] || "$bin/model" "$work/model.gguf"
  rm -f "$work/url"
  "$bin/llcuda-run" serve "$work/model.gguf" -v --port 0 > "$work/url" 2> "$work/elsewhere.log" &
  server=$!
  while [ ! -s "$work/url" ] && kill -0 "$server" 2> /dev/null; do sleep 0.02; done
  grep '^llcuda-run: ' "$work/elsewhere.log" || true
  step chat 0 "$bin/ask" "$(sed -n 1p "$work/url")" "Say hello."
  say "CUDA libraries that llama-server has mapped"
  cat /proc/[0-9]*/maps 2> /dev/null | awk '/\/lib(cuda|cudart|cublas|cublasLt|ggml-cuda)[-.a-z0-9]*\.so/ { print $NF }' | sort -u || true # processes come and go
  kill -TERM "$server"; wait "$server" || wrong "serve ended with $?"
  # Its llama-bench, with the folders of the libraries that came with it.
  dirs=$(find "$LLCUDA_HOME" \( -name 'libcublas.so*' -o -name 'libcudart.so*' \) -exec dirname {} + | sort -u | paste -sd:)
  server=$(find "$LLCUDA_HOME" -name llama-bench | sed -n 1p)
  if [ -n "$server" ] && [ -x "$work/native/bin/llama-bench" ]; then
    say "tokens per second beside the native build (512, 4096, generation)"
    for _ in 1 2 3; do
      echo "from elsewhere $(LD_LIBRARY_PATH=$dirs bench "$(dirname "$server")"), native $(bench "$work/native/bin")"
    done
  fi
}

# release NAME LIE: a release "NAME" of the good bundle and one that is broken, which
# lies in $work/broken. LIE is yes where its manifest still has the good one's facts.
release() {
  local name=$1 dist=$work/story/$1/dist
  mkdir -p "$dist"
  cp "$work/main/dist/$cell.bundle.json" "$work/main/dist/$cell"-*.tar.zst "$dist/"
  if [ "$2" = yes ]; then set -- "$1" -lie "$(sm)"; else set -- "$1"; fi
  "$bin/repack" -fragment "$work/main/dist/$cell.bundle.json" -id "broken-$name" -to "$dist" "${@:2}" "$work/broken"
  "$bin/llcuda-build" publish story "$dist" --to "dir:$work/story/$name/releases" --sign-key "$work/main/proof.key" --partial > /dev/null
}

section_story() {
  [ -d "$work/main/dist/cells" ] || { wrong "story needs what the section main built"; return; }
  local cell good lib name word
  cell=$(cell) good=$work/main/dist/cells/$(cell) lib=$work/broken/libggml-cuda.so
  native || { tail -20 "$work/native.log"; wrong "the native build failed"; return; }
  export LLCUDA_KEY=$work/main/proof.key.pub
  rm -rf "$work/story"
  for name in 222 209 cublas load; do
    rm -rf "$work/broken"
    cp -a "$good" "$work/broken"
    case $name in
      222) # kernels in PTX of an ISA that no driver knows yet, their machine code marked for another GPU
        cp "$work/native/bin/libggml-cuda.so" "$lib"
        "$bin/oracle" patch "$lib" "s$(sm) header-sm 35;p$(sm) text 9.9" ;;
      209) "$bin/oracle" patch "$lib" "s$(sm) header-sm 35" ;; # machine code for another GPU
      cublas) sed -i 's/libcublas\.so\.13/libcublas.so.99/g' "$lib" ;; # asks for a cuBLAS that is nowhere
      load) truncate -s 64K "$lib" ;; # half a file: llama.cpp goes on without it, on the CPU
    esac
    # Judged by what is in the file, nobody takes it. (Of half a file no facts can be read.)
    if [ "$name" != load ]; then
      step "why-$name" 3 "$bin/llcuda-run" why "$lib"
    fi
    # With a manifest that says otherwise the runner takes it, proves it, and must end up on the good one.
    release "$name" yes
    export LLCUDA_FROM=$work/story/$name/releases LLCUDA_HOME=$work/story/$name/home
    # The bus error of half a file is its last word: the files are read again.
    case $name in
      222 | 209) word="CUDA error $name" ;;
      cublas) word=libcublas.so.99 ;;
      load) word='cut short.*damaged-file' ;;
    esac
    step "forced-$name" 5 sh -c '"$0/llcuda-run" selftest --bundle "broken-$1" > "$2" 2>&1; code=$?; cat "$2"; exit $code' "$bin" "$name" "$work/story/$name.txt"
    grep -q "$word" "$work/story/$name.txt" || wrong "story $name does not say $word"
    step "selftest-$name" 0 "$bin/llcuda-run" selftest
    "$bin/llcuda-run" selftest --json > "$work/story/$name.json" || true
    python3 -c 'import json, sys; b = json.load(open(sys.argv[1]))["bundle"]; print("ended up on", b); sys.exit(b != sys.argv[2])' "$work/story/$name.json" "$cell" || wrong "story $name did not end up on $cell"
  done
}

main() {
  local o s one=''
  while getopts w:o:1: o; do
    case $o in w) work=$OPTARG ;; o) out=$OPTARG ;; 1) one=$OPTARG ;; *) exit 2 ;; esac
  done
  if [ -n "$one" ]; then # run.sh's own call
    "section_$one"
    if [ -n "$missed" ]; then echo "=== $one: not as expected: ${missed#; }"; else echo "=== $one: as expected"; fi
    [ -z "$missed" ]
    return
  fi
  shift $((OPTIND - 1))
  [ $# -gt 0 ] || { sed -n '2,/^# shellcheck/{s/^# \{0,1\}//;/^shellcheck/d;p}' "$0"; exit 2; }
  for s; do declare -F "section_$s" > /dev/null || { echo "run.sh has no section $s" >&2; exit 2; }; done
  work=${work:-$here/work} out=${out:-$here/out}
  mkdir -p "$work" "$out"
  [ -d "$bin" ] || unpack "$here/bin.tar.xz" "$here"
  work=$(realpath "$work") out=$(realpath "$out")
  local failed=0
  for s in machine "$@"; do
    # Each in a process of its own: one that breaks off does not end the others.
    "$0" -w "$work" -o "$out" -1 "$s" 2>&1 | tee "$out/$s.log" || failed=1
  done
  return "$failed"
}

main "$@"; exit

#!/bin/bash
# demo.sh: the main job, end to end, on real parts: a real Dagger engine, real
# llama.cpp source and a real nvcc, a signed release folder, a real llama-server
# that answers. Leaves the machine as it was, but for the Debian packages it
# names and the cache (`make clean-cache` removes that).
. "$(dirname "$0")/env.sh"
cd "$ROOT"
# A hold of its own: whoever else uses the engine keeps it.
export LLCUDA_ENGINE_HOLDER=demo-$$ LLCUDA_ENGINE_HOLDER_PID=$$
began=$SECONDS
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-demo-XXXXXX")
dist=$work/dist server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  engine/down.sh >&2 || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "1/7 the engine (engine/up.sh)"
engine/up.sh
engine_s=$((SECONDS - began))

say "2/7 the cpu cell of real llama.cpp, through Dagger"
from=$SECONDS
scripts/bundle-cpu.sh "$dist"
cpu_s=$((SECONDS - from))

say "3/7 two CUDA cells, nvcc 11.8 and 12.4"
from=$SECONDS real=() fixture=()
for cell in cuda11.8-sm75 cuda12.4-sm75; do
  case ${FULL:-}:$cell in
  1:*) real+=("$cell") why="FULL=1" ;;
  :cuda11.8-sm75) if scripts/warm.sh "$cell"; then real+=("$cell") why="ccache has its objects"; else fixture+=("$cell") why="ccache has no objects of it; FULL=1 builds llama.cpp, about 50 minutes of one core"; fi ;;
  *) fixture+=("$cell") why="FULL=1 builds llama.cpp" ;;
  esac
  case " ${real[*]} " in *" $cell "*) of="real llama.cpp" ;; *) of="the fixture in testdata/ (llama.cpp's shape, never served)" ;; esac
  say "    $cell: $of: $why"
done
[ ${#real[@]} = 0 ] || scripts/bundle-cuda.sh "$dist" real "${real[@]}"
[ ${#fixture[@]} = 0 ] || scripts/bundle-cuda.sh "$dist" fixture "${fixture[@]}"
cuda_s=$((SECONDS - from))
bin/llcuda-build inspect "$dist/cells/cuda11.8-sm75/libggml-cuda.so"

say "4/7 a throwaway key and a signed release folder"
bin/llcuda-build keygen --no-password "$work/demo.key"
# A few cells serve few GPUs, and those of the fixture nobody: --partial says that
# this is meant. Without it publish names each hole in the matrix's promise.
bin/llcuda-build publish demo "$dist" --to "dir:$work/releases" --sign-key "$work/demo.key" --partial
ls -l "$work/releases/demo" >&2

say "5/7 why: which bundle on which machine"
export LLCUDA_HOME=$work/home LLCUDA_FROM=$work/releases LLCUDA_KEY=$work/demo.key.pub
why() { # why EXIT TITLE FLAGS...
  local want=$1 code=0
  printf -- '\n--- %s\n' "$2"
  shift 2
  bin/llcuda-run why "$@" || code=$?
  [ "$code" = "$want" ] || die "llcuda-run why $* ended with $code, not $want"
}
why 0 "Colab's T4 on driver 535.104.05" --driver 535.104.05 --sm 75 --glibc 2.35
why 3 "an H100 on driver 580.65.06: neither cell has machine code for it" --driver 580.65.06 --sm 90 --glibc 2.35
why 0 "no NVIDIA GPU" --facts testdata/hosts/no-gpu.json

say "6/7 llcuda-run selftest, then serve (tiny is a random model of our own: its words mean nothing)"
from=$SECONDS
bin/llcuda-run selftest --cpu
bin/llcuda-run serve tiny --cpu --port 0 >"$work/url" 2>"$work/serve.log" &
server=$!
for _ in $(seq 600); do
  [ -s "$work/url" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$work/serve.log" >&2; server=; die "llcuda-run ended before it was ready"; }
  sleep 0.1
done
url=$(head -n 1 "$work/url")
cat "$work/serve.log" >&2
[ -n "$url" ] || die "llcuda-run was not ready within 60 s"
serve_s=$((SECONDS - from))
reply=$(go run ./scripts/ask "$url" "Say hello.")
echo "one chat completion at $url: $reply"

say "7/7 stopping the server (SIGTERM)"
kill -TERM "$server"
code=0; wait "$server" || code=$?
server=
[ "$code" = 0 ] || { cat "$work/serve.log" >&2; die "llcuda-run ended with $code after SIGTERM, not 0"; }

cpu_part=$(echo "$work"/releases/demo/cpu-*.tar.zst)
cat <<SUMMARY

demo: done
  engine up in                               $engine_s s
  cpu cell: built, checked, packed in        $cpu_s s
  two CUDA cells in                          $cuda_s s (llama.cpp: ${real[*]:-none}; fixture: ${fixture[*]:-none})
  cpu bundle                                 $(stat -c %s "$cpu_part") bytes packed
  installed, proved, ready in                $serve_s s
  chat completion                            $reply
  all in                                     $((SECONDS - began)) s
SUMMARY

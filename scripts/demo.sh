#!/bin/bash
# demo.sh: the main job, end to end, on real parts: a real Dagger engine, real
# llama.cpp source, a signed release folder, a real llama-server that answers.
# Leaves the machine as it was, but for the Debian packages it names and the
# cache (`make clean-cache` removes that).
. "$(dirname "$0")/env.sh"
cd "$ROOT"
# A hold of its own: whoever else uses the engine keeps it.
export LLCUDA_ENGINE_HOLDER=demo-$$ LLCUDA_ENGINE_HOLDER_PID=$$
began=$SECONDS
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-demo-XXXXXX")
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  engine/down.sh >&2 || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "1/6 the engine (engine/up.sh)"
engine/up.sh
engine_s=$((SECONDS - began))

say "2/6 the cpu cell of real llama.cpp, through Dagger, into dist/"
build_began=$SECONDS
scripts/bundle-cpu.sh dist
build_s=$((SECONDS - build_began))

say "3/6 a throwaway key and a signed release folder"
bin/llcuda-build keygen "$work/demo.key"
bin/llcuda-build publish demo dist --to "dir:$work/releases" --sign-key "$work/demo.key"
ls -l "$work/releases/demo" >&2

say "4/6 llcuda-run serve, from that release (tiny is a random model of our own: its words mean nothing)"
serve_began=$SECONDS
LLCUDA_HOME=$work/home bin/llcuda-run serve tiny --cpu --port 0 \
  --from "$work/releases" --key "$work/demo.key.pub" >"$work/url" 2>"$work/serve.log" &
server=$!
for _ in $(seq 600); do
  [ -s "$work/url" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$work/serve.log" >&2; die "llcuda-run ended before it was ready"; }
  sleep 0.1
done
url=$(cat "$work/url")
[ -n "$url" ] || { cat "$work/serve.log" >&2; die "llcuda-run was not ready within 60 s"; }
grep '^llcuda-run:' "$work/serve.log" >&2 || true
serve_s=$((SECONDS - serve_began))

say "5/6 one chat completion at $url"
reply=$(go run ./scripts/ask "$url" "Say hello.")
echo "the model said: $reply"

say "6/6 stopping the server (SIGTERM)"
kill -TERM "$server"
code=0; wait "$server" || code=$?
server=
[ "$code" = 0 ] || { cat "$work/serve.log" >&2; die "llcuda-run ended with $code after SIGTERM, not 0"; }

part=$(echo "$work"/releases/demo/cpu-*.tar.zst)
cat <<SUMMARY

demo: done
  engine up in                      $engine_s s
  cpu cell built, checked, packed   $build_s s
  bundle                            $(stat -c %s "$part") bytes packed
  installed and ready in            $serve_s s
  chat completion                   $reply
  all in                            $((SECONDS - began)) s
SUMMARY

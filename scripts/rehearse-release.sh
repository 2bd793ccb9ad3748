#!/bin/bash
# rehearse-release.sh: the steps of release.yml on this machine, with the make targets
# and commands that the workflow calls, in folders like those of its jobs, against
# the fake GitHub of the tests (scripts/github). It needs root or an engine, and
# no network. What differs from a real release, all of it in a commit of a throw-away clone:
#   the matrix has the cpu cell and two cells of one toolkit, is built in the images of
#   this machine's registry, and promises what these cells keep. The CUDA cells are
#   the fixture without its mark; their runtimes are the matrix's own, host and
#   stock, but of the stock part the two cuBLAS are small (scripts/small-cublas.sh):
#   each job packs the part, and NVIDIA's own takes minutes. STOCK=real packs that.
# A second release of the next commit follows, with the first one's cpu bundle and
# programs: it must refer to the stock part and not hold it again.
# REAL=0 builds the fixture for the cpu cell too: then nothing can be proved by
# running it, and the check of the release ends before `llcuda-run pull --cpu`.
# KEEP=DIR leaves the release's files there.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
real=${REAL:-1} tag=v0.0.1 next=v0.0.2 repo=owner/repo
cuda=(cuda11.8-all cuda11.8-sm75) # of one toolkit: they share its stock runtime
export LLCUDA_ENGINE_HOLDER=rehearsal-$$ LLCUDA_ENGINE_HOLDER_PID=$$
work=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-rehearsal-XXXXXX")
hub='' publisher=''
finish() {
  [ -z "$publisher" ] || kill -9 "$publisher" 2>/dev/null || true
  [ -z "$hub" ] || kill "$hub" 2>/dev/null || true
  engine/down.sh >&2 || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
began=$SECONDS
step() { say "[$((SECONDS - began)) s] $*"; }

need minisign minisign # the job check has it, too
need zstd zstd
step "the engine and the images (make images)"
engine/up.sh
# shellcheck disable=SC1091 # written by engine/up.sh
[ ! -f "$CACHE/engine/run/env" ] || . "$CACHE/engine/run/env"
[ -n "${LLCUDA_REGISTRY:-}" ] || die "the rehearsal needs the registry of engine/up.sh, and Docker's engine is used here: set LLCUDA_ENGINE=own"
cpu_image=$(LLCUDA_STAND_IN=always scripts/image.sh cpu debian:bullseye-slim)
cuda_image=$(LLCUDA_STAND_IN=always scripts/cuda-image.sh 11.8.0)
source=$(scripts/source.sh)

step "a clone with one commit more, and its tag"
git clone -q --no-hardlinks "$ROOT" "$work/origin"
cd "$work/origin"
git checkout -q -B main
prepare=$ROOT/scripts/small-cublas.sh
if [ "${STOCK:-}" = real ]; then prepare=/dev/null; fi
awk -v cpu="$cpu_image" -v cuda="$cuda_image" -v cells=" cpu ${cuda[*]} " -v prepare="$prepare" '
  # one system more: nothing is installed in an image that brings its tools
  /^systems:/ {
    print; print "  rehearsal:\n    glibc: \"2.31\"\n    packages: [cmake]\n    prepare: |\n      test -n \"$*\""
    while ((getline line <prepare) > 0) print "      " line
    next
  }
  /^toolkits:/ { part = "toolkits" } /^cpu:/ { part = "cpu" } /^cells:/ { part = "cells" } /^promise:/ { part = "promise" }
  part == "toolkits" && /^  "/ { on = /"11.8.0"/ }
  part == "toolkits" && /^[ ]/ && !on { next }
  part == "toolkits" && on && /^    image:/ { print "    image: " cuda; next }
  part == "cpu" && /^  image:/ { print "  image: " cpu; next }
  (part == "cpu" || (part == "toolkits" && on)) && /^ *system:/ { sub(/system:.*/, "system: rehearsal") }
  part == "toolkits" && on && /^    packages:/ { next }
  part == "toolkits" && on && /^    env:/ { print "    env: {CC: clang-13, CXX: clang++-13, CUDAHOSTCXX: g++-10}"; skip = 1; next }
  skip && /^      / { next } { skip = 0 }
  part == "cells" && /^  - id:/ { keep = index(cells, " " $3 " ") }
  part == "cells" && /^  / && !keep { next }
  part == "promise" && /^  - / && !/cc: "[5-8]\./ { next }
  part == "promise" { sub(/glibc: "2.28"/, "glibc: \"2.31\"") }
  { print }' "$ROOT/matrix/cuda.yaml" >matrix/cuda.yaml
make -s build
# plan, locked: without the lock file it must stop, and say what to do.
if scripts/locked.sh 2>"$work/said"; then die "a release without matrix/cuda.lock.json was not stopped"; fi
cat "$work/said"
# `plan --lock` locks no stand-in, and is right: here the registry is asked by hand.
locked() { # locked IMAGE
  local digest
  digest=$(curl -fsSI -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json' \
    "http://${1%%/*}/v2/$(sed 's#^[^/]*/\(.*\):\(.*\)#\1/manifests/\2#' <<<"$1")" | tr -d '\r' | sed -n 's/^docker-content-digest: //Ip')
  printf '"%s": {"digest": "%s", "platform": "linux/amd64"}' "$1" "$digest"
}
printf '{"schema": 1, "images": {%s, %s}}\n' "$(locked "$cpu_image")" "$(locked "$cuda_image")" >matrix/cuda.lock.json
git config user.name rehearsal
git config user.email rehearsal@example.invalid
git add matrix
git commit -qm "rehearsal: three cells, in the images of this machine"
git tag -m "$tag" "$tag"
commit=$(git rev-parse HEAD)
git commit -q --allow-empty -m "rehearsal: the next release"
git tag -m "$next" "$next"

job() { # job NAME: a fresh checkout of the tag, as each job has
  git clone -q --no-hardlinks "$work/origin" "$work/$1"
  cd "$work/$1"
  git checkout -q "$tag"
  make -s build
}
step "job plan"
job plan
git merge-base --is-ancestor "$commit" origin/main
make -s locked
bin/llcuda-build coverage
CELLS=$(bin/llcuda-build plan --github) # the job's output
echo "$CELLS"
export CELLS

# What nightly left in the actions cache: this machine's compiler cache of the same image.
step "the compiler cache that the jobs start from"
mkdir "$work/actions-cache" "$work/artifacts"
"$ROOT/bin/llcuda-build" ccache save cpu "$work/actions-cache/cpu.tar" --image "cpu=$cpu_image" || say "there is none: building without"

fixture=$work/fixture
cp -a "$ROOT/testdata/fixture" "$fixture"
rm "$fixture/.llcuda-fixture" # for the fake alone: GitHub takes no fixture, and says so
cell_job() { # cell_job CELL NAME: the job NAME builds it; its artifact goes to $artifacts
  step "job cells ($1, $tag)"
  job "$2"
  [ ! -f "$work/actions-cache/$1.tar" ] || cp "$work/actions-cache/$1.tar" ccache.tar
  local of=$source
  if [ "$1" != cpu ] || [ "$real" = 0 ]; then of=$fixture; fi
  LLCUDA_SOURCE=$of make -s cell CELL="$1" CCACHE=ccache.tar
  [ -s ccache.tar ] || die "the job of $1 saved no compiler cache"
  cp ccache.tar "$work/actions-cache/$1.tar"
  mkdir -p "$artifacts/dist-$1/extra"
  cp dist/*.tar.zst dist/*.bundle.json "$artifacts/dist-$1/"
  cp dist/extra/* "$artifacts/dist-$1/extra/"
}
artifacts=$work/artifacts
for cell in cpu "${cuda[@]}"; do cell_job "$cell" "cell-$cell"; done
# What the jobs of one toolkit have in common, and what is shown here: without it nothing of the merge was.
shared=$(cd "$artifacts" && echo dist-*/cuda*-stock-*.tar.zst)
[ "$(wc -w <<<"$shared")" = "${#cuda[@]}" ] || die "not every CUDA job left a stock runtime: $shared"
stock=${shared##*/}

step "job files (make release-files${REBUILD:+ REBUILD=1})"
job files
make -s release-files OUT=dist/extra REBUILD="${REBUILD:-}"
cp -r dist/extra "$work/artifacts/dist-files"

step "job publish: merge-dist.sh, a throw-away key, DRY_RUN=1"
job publish
scripts/merge-dist.sh "$work/artifacts" dist
bin/llcuda-build keygen --no-password "$work/release.key"
LLCUDA_SIGN_KEY=$(cat "$work/release.key")
LLCUDA_KEY=$(cat "$work/release.key.pub")
export LLCUDA_SIGN_KEY LLCUDA_KEY
export LLCUDA_MODELS=off # the hub is not asked: this machine may have no network
mkdir "$work/hub"
(cd "$ROOT" && go build -o "$work/github" ./scripts/github)
"$work/github" -tag "$tag=$commit" -tag "$next=$(git -C "$work/origin" rev-parse HEAD)" -files "$work/hub" -pause 1s >"$work/hub/said" 2>&1 &
hub=$!
for _ in $(seq 100); do [ ! -f "$work/hub/env" ] || break; sleep 0.1; done
# shellcheck disable=SC1091 # written by scripts/github
. "$work/hub/env"
make -s publish REPO="$repo" TAG="$tag" DRY_RUN=1
! grep -qE ' (POST|PATCH|DELETE) ' "$work/hub/requests" || die "DRY_RUN=1 changed something at GitHub"

step "job publish, killed (-9) at the half of its third upload"
setsid make -s publish REPO="$repo" TAG="$tag" >"$work/killed" 2>&1 &
publisher=$!
for _ in $(seq 600); do
  [ "$(grep -c ' half$' "$work/hub/requests")" -lt 3 ] || break
  kill -0 "$publisher" 2>/dev/null || { cat "$work/killed" >&2; die "publish ended before it could be killed"; }
  sleep 0.1
done
kill -9 -- "-$publisher"
wait "$publisher" 2>/dev/null || true
publisher=
at() { curl -sS -o /dev/null -w '%{http_code}' "$GITHUB_API_URL/repos/$repo/releases/tags/$tag"; }
[ "$(at)" = 404 ] || die "the release is public, and its publisher was killed half-way"
step "job publish, repeated"
make -s publish REPO="$repo" TAG="$tag"
[ "$(at)" = 200 ] || die "the release is not public"
changes() { grep -cE ' (POST|PATCH|DELETE) .* arrived$' "$work/hub/requests" || true; }
before=$(changes)
step "job publish once more: nothing is to be done"
make -s publish REPO="$repo" TAG="$tag"
[ "$(changes)" = "$before" ] || die "publishing a public release again changed something"

token=$GITHUB_TOKEN
unset GITHUB_TOKEN # a user has none
step "job check (make release-check)"
job check
if [ "$real" = 0 ]; then say "REAL=0: the cpu bundle is the fixture, which cannot be proved: not run"
else
  make -s release-check REPO="$repo" TAG="$tag"
  # In Actions nothing is left out.
  if GITHUB_ACTIONS=true scripts/release-check.sh "$repo" "$tag" >"$work/said" 2>&1; then die "release-check left the attestations out in Actions"; fi
  tail -n 1 "$work/said"
fi
step "gpu.yml (make gpu-selftest)"
code=0
make -s gpu-selftest REPO="$repo" TAG="$tag" >"$work/said" 2>&1 || code=$?
cat "$work/said"
if [ "$code" != 0 ]; then
  # Without a GPU it must end so, and only after it was installed and had looked.
  ! nvidia-smi -L >/dev/null 2>&1 || die "gpu-selftest failed on a machine with a GPU"
  grep -q 'installed llcuda-run version' "$work/said" || die "gpu-selftest ended before it installed anything"
  say "no GPU here: it ended with $code"
fi

# What a user of each cell gets. Nothing is proved: the CUDA cells are the fixture,
# and the T4 is a libcuda that says so.
step "as a user: install.sh, why, and pull of each CUDA cell with the stock runtime that they share"
mkdir "$work/user"
export LLCUDA_FROM=github:$repo@$tag LLCUDA_HOME=$work/user/home LLCUDA_GITHUB=$GITHUB_SERVER_URL LLCUDA_GITHUB_API=$GITHUB_API_URL
PREFIX=$work/user sh "$ROOT/install.sh" "$tag"
run=$work/user/bin/llcuda-run
while read -r sm driver want; do
  got=$("$run" why --sm "$sm" --driver "$driver" --json | sed -n 's/^ *"bundle": "\(.*\)",*$/\1/p' | head -n 1)
  [ "$got" = "$want" ] || die "for GPUs of $sm and driver $driver the release gives ${got:-nothing}, not $want"
  say "GPUs of $sm, driver $driver: $got"
done <<END
75 470.82.01 cuda11.8-sm75
75 580.65.06 cuda11.8-sm75
61 450.80.02 cuda11.8-all
89 520.56.06 cuda11.8-all
61,75 535.104.05 cuda11.8-all
END
mkdir "$work/driver"
gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$work/driver/libcuda.so.535.104.05" "$ROOT/scripts/fake-libcuda.c"
ln -s libcuda.so.535.104.05 "$work/driver/libcuda.so.1"
pull() { LD_LIBRARY_PATH=$work/driver "$run" pull --no-proof "$@"; }
assets() { # assets TAG: id and name of each file of the release
  curl -fsS "$GITHUB_API_URL/repos/$repo/releases/tags/$1" | tr '{' '\n' | sed -n 's/.*"id": *\([0-9]*\),.*"name": *"\([^"]*\)".*"state".*/\1 \2/p'
}
id=$(assets "$tag" | sed -n "s/ $stock\$//p")
[ -n "$id" ] || die "the release has no $stock"
asked() { grep -c " GET /releases/assets/$id arrived\$" "$work/hub/requests" || true; } # how often for the stock part
before=$(asked)
pull
"$run" ls | grep -q "${cuda[1]}" || die "a T4 was not given ${cuda[1]}"
once=$(asked)
[ "$once" -gt "$before" ] || die "${cuda[1]} was installed without its stock runtime: are there CUDA libraries on this machine?"
pull --bundle "${cuda[0]}"
[ "$(asked)" = "$once" ] || die "the stock runtime was downloaded for each cell"

step "the next release: its jobs build the CUDA cells anew"
export GITHUB_TOKEN=$token
first=$tag tag=$next artifacts=$work/artifacts-$next
mkdir "$artifacts"
cp -r "$work/artifacts/dist-cpu" "$work/artifacts/dist-files" "$artifacts/"
for cell in "${cuda[@]}"; do cell_job "$cell" "cell-$cell-$next"; done
job "publish-$next"
scripts/merge-dist.sh "$artifacts" dist
make -s publish REPO="$repo" TAG="$tag"
unset GITHUB_TOKEN
! assets "$tag" | grep -- -stock- || die "$tag holds a stock runtime again: nobody who has that of $first needs it"
if [ "$real" = 0 ]; then bin/llcuda-build verify "github:$repo@$tag" --cuobjdump off
else make -s release-check REPO="$repo" TAG="$tag"; fi
before=$(asked)
pull --from "github:$repo@$tag"
[ "$(asked)" = "$before" ] || die "the stock runtime was downloaded again for $tag"
"$run" ls
tag=$first
unset LLCUDA_FROM LLCUDA_HOME LLCUDA_GITHUB LLCUDA_GITHUB_API

step "what the release holds"
mkdir "$work/held"
server=$GITHUB_SERVER_URL/$repo/releases/download/$tag
curl -fsS -o "$work/held/SHA256SUMS" "$server/SHA256SUMS"
while read -r _ name; do curl -fsS -o "$work/held/$name" "$server/$name"; done <"$work/held/SHA256SUMS"
(cd "$work/held" && sha256sum --check --strict --quiet SHA256SUMS && ls -l)
for part in "$work"/held/*.tar.zst; do
  [ -f "$part" ] || die "no part"
done
for cell in cpu "${cuda[@]}"; do
  [ -f "$work/held/$cell.spdx.json" ] || die "no bill of materials of $cell"
done
(cd "$ROOT" && go run ./scripts/sbom "$work"/held/*.spdx.json)
tar -I zstd -tf "$work"/held/cpu-*.tar.zst | grep '^LICENSES/' || die "the cpu bundle has no licences"
[ -z "${KEEP:-}" ] || { mkdir -p "$KEEP" && cp "$work"/held/* "$KEEP/"; }

export GITHUB_TOKEN=$token
kill "$hub"
wait "$hub" || { cat "$work/hub/said" >&2; die "the fake GitHub has complaints"; }
hub=
cat "$work/hub/said"
step "rehearsed: plan, cells (two of one toolkit with the stock runtime they share), files, publish (killed and repeated), check, pull of each cell, a second release that refers to the first. Not rehearsed: attestations, the environment's approval, artifacts and caches of Actions, runners that prepare an image each for itself, llama.cpp's CUDA cells, NVIDIA's own cuBLAS (STOCK=real packs it), minisign by install.sh where it is missing"

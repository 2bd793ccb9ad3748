#!/bin/bash
# rehearse-release.sh: the steps of release.yml on this machine, with the make targets
# and commands that the workflow calls, in folders like those of its jobs, against
# the fake GitHub of the tests (scripts/github). It needs root or an engine, and
# no network. What differs from a real release, all of it in a commit of a throw-away clone:
#   the matrix has two cells, is built in the images of this machine's registry, and
#   promises what two cells keep; the CUDA cell is the fixture without its mark, and
#   takes the host's CUDA libraries (packing NVIDIA's takes ten minutes).
# REAL=0 builds the fixture for the cpu cell too: then nothing can be proved by
# running it, and the check of the release ends before `llcuda-run pull`.
# KEEP=DIR leaves the release's files there.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
real=${REAL:-1} tag=v0.0.1 repo=owner/repo cuda=cuda11.8-sm75
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
awk -v cpu="$cpu_image" -v cuda="$cuda_image" -v cell="$cuda" '
  # one system more: nothing is installed in an image that brings its tools
  /^systems:/ { print; print "  rehearsal:\n    glibc: \"2.31\"\n    packages: [cmake]\n    prepare: test -n \"$*\""; next }
  /^toolkits:/ { part = "toolkits" } /^cpu:/ { part = "cpu" } /^cells:/ { part = "cells" } /^promise:/ { part = "promise" }
  part == "toolkits" && /^  "/ { on = /"11.8.0"/ }
  part == "toolkits" && /^[ ]/ && !on { next }
  part == "toolkits" && on && /^    image:/ { print "    image: " cuda; next }
  part == "cpu" && /^  image:/ { print "  image: " cpu; next }
  (part == "cpu" || (part == "toolkits" && on)) && /^ *system:/ { sub(/system:.*/, "system: rehearsal") }
  part == "toolkits" && on && /^    packages:/ { next }
  part == "toolkits" && on && /^    env:/ { print "    env: {CC: clang-13, CXX: clang++-13, CUDAHOSTCXX: g++-10}"; skip = 1; next }
  skip && /^      / { next } { skip = 0 }
  part == "cells" && /^  - id:/ { keep = ($3 == cell || $3 == "cpu") }
  part == "cells" && /^  / && !keep { next }
  /^  runtime: \[/ { print "  runtime: [host]"; next }
  part == "promise" && /^  - / && !/cc: "7.5"/ { next }
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
git -c user.name=rehearsal -c user.email=rehearsal@example.invalid add matrix
git -c user.name=rehearsal -c user.email=rehearsal@example.invalid commit -qm "rehearsal: two cells, in the images of this machine"
git -c user.name=rehearsal -c user.email=rehearsal@example.invalid tag -m "$tag" "$tag"
commit=$(git rev-parse HEAD)

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
bin/llcuda-build plan --github

# What nightly left in the actions cache: this machine's compiler cache of the same image.
step "the compiler cache that the jobs start from"
mkdir "$work/actions-cache" "$work/artifacts"
"$ROOT/bin/llcuda-build" ccache save cpu "$work/actions-cache/cpu.tar" --image "cpu=$cpu_image" || say "there is none: building without"

fixture=$work/fixture
cp -a "$ROOT/testdata/fixture" "$fixture"
rm "$fixture/.llcuda-fixture" # for the fake alone: GitHub takes no fixture, and says so
for cell in cpu "$cuda"; do
  step "job cells ($cell)"
  job "cell-$cell"
  [ ! -f "$work/actions-cache/$cell.tar" ] || cp "$work/actions-cache/$cell.tar" ccache.tar
  of=$source
  if [ "$cell" != cpu ] || [ "$real" = 0 ]; then of=$fixture; fi
  LLCUDA_SOURCE=$of make -s cell CELL="$cell" CCACHE=ccache.tar
  [ -s ccache.tar ] || die "the job of $cell saved no compiler cache"
  cp ccache.tar "$work/actions-cache/$cell.tar"
  mkdir -p "$work/artifacts/dist-$cell/extra"
  cp dist/*.tar.zst dist/*.bundle.json "$work/artifacts/dist-$cell/"
  cp dist/extra/* "$work/artifacts/dist-$cell/extra/"
done

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
"$work/github" -tag "$tag" -commit "$commit" -files "$work/hub" -pause 1s >"$work/hub/said" 2>&1 &
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

step "what the release holds"
mkdir "$work/held"
server=$GITHUB_SERVER_URL/$repo/releases/download/$tag
curl -fsS -o "$work/held/SHA256SUMS" "$server/SHA256SUMS"
while read -r _ name; do curl -fsS -o "$work/held/$name" "$server/$name"; done <"$work/held/SHA256SUMS"
(cd "$work/held" && sha256sum --check --strict --quiet SHA256SUMS && ls -l)
for part in "$work"/held/*.tar.zst; do
  [ -f "$part" ] || die "no part"
done
for cell in cpu "$cuda"; do
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
step "rehearsed: plan, cells, files, publish (killed and repeated), check. Not rehearsed: attestations, the environment's approval, minisign by install.sh where it is missing"

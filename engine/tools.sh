#!/bin/bash
# tools.sh: from tools/{go.mod,go.sum,distconsts} to dagger-engine, dagger,
# dagger-init and dnsname in a folder of the cache; prints that folder.
# The folder's name is a hash of everything that decides the bytes, this script
# included, so what another tree built is never taken for this tree's; what is
# there is checked against the sums written when it was built.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
V=v0.19.10
D=github.com/dagger/dagger/cmd

command -v go > /dev/null || die "go is missing" "install Go 1.25.6 or newer"
have=$(cd "$HERE/tools" && GOFLAGS='' go env GOVERSION) || die "go does not start in engine/tools" "install Go 1.25.6 or newer"
[ "$(printf '%s\n' go1.25.6 "$have" | sort -V | head -1)" = go1.25.6 ] || die "$have is too old for the engine" "install Go 1.25.6 or newer"
key=$({ cat "$HERE"/tools/{go.mod,go.sum} "$HERE"/tools/distconsts/* "$HERE/tools.sh"; echo "$have $(uname -m)"; } | hash12)
dir=$E/bin/$key
if [ "${1:-}" = --where ]; then echo "$dir"; exit 0; fi

mkdir -p "$E/bin"
exec 8> "$E/bin/.lock"
flock 8
if [ -d "$dir" ]; then
  if (cd "$dir" && sha256sum --status -c SHA256SUMS 2> /dev/null); then echo "$dir"; exit 0; fi
  say "the engine in $dir is damaged: building it again"
  rm -rf "$dir"
fi

say "building Dagger $V from Go modules (seconds with a warm Go build cache, else 5 to 13 minutes on 2 cores)"
new=$(mktemp -d "$E/bin/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOWORK=off GOOS=linux
stamp="-s -w -X github.com/dagger/dagger/engine.Version=$V -X github.com/dagger/dagger/engine.Tag=$V"
build() { # build NAME LDFLAGS PACKAGE [FLAG...]
  local name=$1 ld=$2 pkg=$3
  shift 3
  (cd "$HERE/tools" && go build "$@" -ldflags "$ld" -o "$new/$name" "$pkg" 8>&-) 2> "$new/log" ||
    { tail -5 "$new/log" >&2; die "$name could not be built from Go modules" "is the Go module proxy reachable (go env GOPROXY)? is there space for 3 GB under $(go env GOMODCACHE)?"; }
  rm -f "$new/log"
}
build dagger-engine "$stamp" $D/engine -tags dfexcludepatterns,dfparents
build dagger "$stamp" $D/dagger
build dagger-init "-s -w" $D/init
build dnsname "-s -w" $D/dnsname
(cd "$new" && sha256sum dagger dagger-engine dagger-init dnsname > SHA256SUMS)
chmod 755 "$new"
mv "$new" "$dir"
echo "$dir"

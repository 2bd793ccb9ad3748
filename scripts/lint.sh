#!/bin/bash
# lint.sh: gofmt, go vet, golangci-lint (whose depguard rules are the
# architecture), shellcheck, actionlint. Pinned Go tools are built once into the
# cache, keyed by version and Go version.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
tool() { # tool PACKAGE VERSION: prints the path of the built tool
  local name=${1##*/} dir
  dir=$CACHE/tools/$name-$2-$(go env GOVERSION)
  if [ ! -x "$dir/$name" ]; then
    say "building $name $2 (once)"
    GOBIN=$dir GOFLAGS='' go install "$1@$2" >&2
  fi
  echo "$dir/$name"
}
bad=$(gofmt -l .)
[ -z "$bad" ] || die "not gofmt'ed: $bad"
go vet ./...
go vet -tags engine,lean,corpus,man ./...
# llcuda-run elsewhere is one sentence, and without cgo it is a static program.
for target in windows/amd64 darwin/arm64 linux/arm64 linux/amd64; do
  GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/llcuda-run || die "llcuda-run does not build for $target without cgo"
done
golangci=$(tool github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.13.2)
GOCACHE=$(go env GOCACHE) XDG_CACHE_HOME=$CACHE/lint "$golangci" run ./...
"$(tool github.com/rhysd/actionlint/cmd/actionlint v1.7.12)"
need shellcheck shellcheck
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -S warning -x -P SCRIPTDIR
# what must never be committed
if git grep -nIE '(registry\.npmjs|proxy\.golang|deb\.debian|(^|[^[:alnum:]_.-])/(root|home/[a-z]+)/[a-z.])' -- . ':!scripts/lint.sh' ':!*_test.go' ':!*testdata*' ':!internal/inspect/*.go' ':!docs/proof/*'; then
  die "a private path or the host name of a package registry, see above"
fi
echo "lint: clean"

#!/bin/bash
# vulnerabilities.sh: govulncheck on what both programs really call (exit 1 where
# there is something), then the direct dependencies that have newer versions.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
version=v1.1.4
dir=$CACHE/tools/govulncheck-$version-$(go env GOVERSION)
if [ ! -x "$dir/govulncheck" ]; then
  say "building govulncheck $version (once)"
  GOBIN=$dir GOFLAGS='' go install "golang.org/x/vuln/cmd/govulncheck@$version" >&2
fi
code=0
"$dir/govulncheck" ./cmd/... || code=$?
say "direct dependencies with newer versions"
go list -m -u -f '{{if and (not .Indirect) .Update}}{{.Path}} {{.Version}} -> {{.Update.Version}}{{end}}' all | sed '/^$/d' || say "the newer versions could not be asked for"
exit "$code"

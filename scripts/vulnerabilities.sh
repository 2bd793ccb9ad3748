#!/bin/bash
# vulnerabilities.sh: govulncheck on what both programs really call, then the
# direct dependencies that have newer versions. Exit 1 where there is something
# known against us, 75 where the database could not be asked: that is no verdict.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
version=v1.1.4 unasked=75
dir=$CACHE/tools/govulncheck-$version-$(go env GOVERSION)
if [ ! -x "$dir/govulncheck" ]; then
  say "building govulncheck $version (once)"
  GOBIN=$dir GOFLAGS='' go install "golang.org/x/vuln/cmd/govulncheck@$version" >&2
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
code=0
"$dir/govulncheck" ./cmd/... 2>"$work/err" || code=$?
cat "$work/err" >&2
case $code in
0) ;;
3) code=1 ;; # govulncheck's own status for "found"
*)
  if grep -q 'fetching vulnerabilities' "$work/err"; then
    code=$unasked
    printf 'error: the database of known vulnerabilities cannot be reached from here: nothing is known of them either way. Run this where the network lets it (exit %s)\n' "$code" >&2
  else
    code=1
  fi
  ;;
esac
say "direct dependencies with newer versions"
if go list -m -u -f '{{if and (not .Indirect) .Update}}{{.Path}} {{.Version}} -> {{.Update.Version}}{{end}}' all >"$work/newer" 2>"$work/err"; then
  sed '/^$/d' "$work/newer"
else
  sed -n 1p "$work/err" >&2
  say "the newer versions could not be asked for"
fi
exit "$code"

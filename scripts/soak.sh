#!/bin/bash
# soak.sh [SECONDS]: every fuzz target for SECONDS (60 without), then the kill
# loops of release, fetch and store many times over, every fault of the fault table
# (docs/reliability.md), then Hugging Face's own client on our cache, the engine
# tests that take minutes (a real lean cuBLAS, cells built twice), the rehearsal
# of a release, the coverage page in Chromium and make corpus. Prints one line a target; a crasher that a
# fuzzer found lies in the package's testdata/fuzz.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
seconds=${1:-60}
failed=0
while read -r package target; do
  out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 0 "$package" 2>&1) && verdict=ok || verdict=FAILED
  # Go's fuzzer sometimes takes the end of its time for a failure of the target
  # (seen here with Go 1.26): only an input that it wrote down is one.
  if [ "$verdict" = FAILED ] && ! grep -q 'Failing input' <<<"$out" && grep -q 'context deadline exceeded' <<<"$out"; then verdict='ok (ended late)'; fi
  [ "$verdict" != FAILED ] || failed=1
  runs=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' <<<"$out" | tail -n 1)
  printf '%-44s %-24s %12s runs  %s\n' "${package#./}" "$target" "${runs:-?}" "$verdict"
  [ "$verdict" != FAILED ] || tail -n 20 <<<"$out"
done < <(git grep -oE '^func Fuzz[A-Za-z0-9]+' -- '*_test.go' |
  sed -E 's#^(.*)/[^/]*_test\.go:func (Fuzz.*)#./\1 \2#' | sort -u)
go test -count=10 -run 'Kill' -timeout 60m ./internal/release ./internal/fetch ./internal/store || failed=1
# A publish to the fake GitHub, killed at 100 random moments.
go test -count=1 -v -run '^TestKilledGitHubPublisherConverges$' -timeout 60m ./internal/release -kills 100 || failed=1
scripts/reliability.sh || failed=1
scripts/hub-clients.sh || failed=1
TAGS=engine,lean scripts/test-engine.sh || failed=1
scripts/rehearse-release.sh || failed=1
scripts/coverage-page.sh || failed=1
scripts/corpus.sh || failed=1
scripts/corpus-x86.sh || failed=1
exit "$failed"

#!/bin/bash
# reliability.sh [ROUNDS] [KILLS]: every fault of the table in
# internal/store/faults_test.go ROUNDS times (20 without), KILLS installs killed
# at random moments (200), ten installers at once; then writes what became of
# them into docs/reliability.md, with the date and the commit.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
page=docs/reliability.md
mark='<!-- written by scripts/reliability.sh -->'
grep -qxF "$mark" "$page" || die "$page has lost the line: $mark"
commit=$(git describe --always --dirty)
table=$(mktemp)
trap 'rm -f "$table"' EXIT
LLCUDA_FAULT_ROUNDS=${1:-20} LLCUDA_FAULT_KILLS=${2:-200} LLCUDA_FAULT_TABLE=$table \
  go test -count=1 -run 'Faults|Kill|TenProcesses' -timeout 90m ./internal/store
{
  awk -v mark="$mark" '{ print } $0 == mark { exit }' "$page"
  printf '\n%s, %s cores, load %s, %s, at commit `%s`:\n\n' "$(date -u +%F)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)" \
    "$(go env GOVERSION)" "$commit"
  printf '| fault | times | what came of it |\n|---|---|---|\n'
  sort "$table"
} >"$page.new"
mv "$page.new" "$page"
say "$(wc -l <"$table") lines in $page"

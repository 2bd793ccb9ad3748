#!/bin/bash
# coverage-page.sh [OUT]: looks at the page of `llcuda-build coverage --html` in
# headless Chromium, at three widths, light and dark: the plan of our matrix, and
# its opposite, one default build of llama.cpp for all (full of holes). The
# checks are coverage-page.js's. Screenshots go to OUT (a temporary folder).
. "$(dirname "$0")/env.sh"
cd "$ROOT"
out=${1:-$(mktemp -d "${TMPDIR:-/tmp}/llcuda-coverage-XXXXXX")}
mkdir -p "$out"
need chromium chromium
profile=$(mktemp -d "${TMPDIR:-/tmp}/llcuda-chromium-XXXXXX")
trap 'rm -rf "$profile"' EXIT
browser() { # browser FLAGS...: an offline Chromium with a profile of its own
  timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" "$@" 2>>"$out/chromium.log"
}
mkdir -p bin
go build -ldflags '-extldflags=-Wl,-z,lazy' -o bin/ ./cmd/llcuda-build
bin/llcuda-build coverage --html "$out/plan.html" >"$out/plan.txt"
code=0
bin/llcuda-build coverage --from internal/coverage/testdata/default-dist --html "$out/holes.html" >"$out/holes.txt" 2>&1 || code=$?
[ "$code" = 1 ] || die "a release full of holes ended with $code, not 1"
failed=0
for page in plan holes; do
  { cat "$out/$page.html"; printf '<script>\n'; cat scripts/coverage-page.js; printf '</script>\n'; } >"$out/$page-probed.html"
  for size in 1280,900 820,1100 390,844; do
    for scheme in light dark; do
      flags=(--window-size="$size")
      [ "$scheme" = light ] || flags+=(--blink-settings=preferredColorScheme=0)
      said=$(browser "${flags[@]}" --dump-dom "file://$out/$page-probed.html#$scheme" | sed -n 's/.*<pre id="probe" hidden="">\(.*\)<\/pre>.*/\1/p')
      browser "${flags[@]}" --screenshot="$out/$page-${size%,*}-$scheme.png" "file://$out/$page.html" >/dev/null
      printf '%-6s %-9s %-6s %s\n' "$page" "$size" "$scheme" "${said:-probe: WRONG: it did not run, see $out/chromium.log}"
      [ "$said" = "probe: ok" ] || failed=1
    done
  done
  printf '%-6s %d bytes\n' "$page" "$(stat -c %s "$out/$page.html")"
done
say "screenshots are in $out"
exit "$failed"

#!/bin/bash
# test-github.sh: publishing to GitHub against parts that nobody here wrote, on
# loopback: npm's emulator of GitHub, and GitHub's own description of its API, of
# which the fake of `make test` holds an extract. The packages are kept in the
# cache. Run by test-engine.sh; needs neither engine nor GPU.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
need node nodejs
need npm npm
# npm_package NAME VERSION [KEEP]: its folder with what it needs, installed once; of
# large JSON files only KEEP.
npm_package() {
  local dir work
  dir=$CACHE/npm/${1//[@\/]/_}-$2
  if [ ! -d "$dir" ]; then
    say "fetching $1@$2 with npm"
    mkdir -p "$CACHE/npm"
    work=$(mktemp -d "$CACHE/npm/.install-XXXXXX")
    if ! npm install --prefix "$work" --silent --no-audit --no-fund --ignore-scripts "$1@$2" >&2; then
      rm -rf "$work"
      die "npm install $1@$2 did not work"
    fi
    [ -z "${3:-}" ] || find "$work" -name '*.json' -size +1M ! -name "$3" -delete
    mv -T "$work" "$dir" 2>/dev/null || rm -rf "$work" # another run was first
  fi
  echo "$dir"
}
LLCUDA_TEST_EMULATE=$(npm_package emulate 0.12.2)
LLCUDA_TEST_OPENAPI=$(npm_package @octokit/openapi 23.0.2 api.github.com.json)/node_modules/@octokit/openapi/generated/api.github.com.json
export LLCUDA_TEST_EMULATE LLCUDA_TEST_OPENAPI
go test -tags engine -count=1 -run 'NPMsEmulator|GitHubsOwn' ./internal/release/...

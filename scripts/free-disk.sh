#!/bin/bash
# free-disk.sh: makes room on a runner of GitHub's, which comes with toolchains that
# nothing here uses (as goreleaser's release workflow does). Refuses anywhere else.
. "$(dirname "$0")/env.sh"
[ "${GITHUB_ACTIONS:-}" = true ] && [ "${RUNNER_ENVIRONMENT:-}" = github-hosted ] || die "this removes programs: it is for GitHub's own runners only"
df -h / | tail -n 1
sudo rm -rf /usr/share/dotnet /usr/local/lib/android /opt/ghc /opt/hostedtoolcache/CodeQL
docker image prune --all --force >/dev/null
df -h / | tail -n 1

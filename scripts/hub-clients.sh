#!/bin/bash
# hub-clients.sh: Hugging Face's own client for JavaScript (@huggingface/hub, from
# npm) and ours use one cache: each must find what the other stored. Against a
# hub of our own on this machine.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
need node nodejs
need npm npm
dir=$CACHE/hub-clients
mkdir -p "$dir"
[ -d "$dir/node_modules/@huggingface/hub" ] || npm install --silent --no-save --prefix "$dir" @huggingface/hub@2.17.5
cp scripts/hub-clients.mjs "$dir"
HUB_CLIENTS=$dir go test -count=1 -tags clients -run HuggingFacesOwn ./internal/hub

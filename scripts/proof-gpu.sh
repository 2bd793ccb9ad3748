#!/bin/bash
# proof-gpu.sh OUT: everything that docs/proof/run.sh needs on a machine with an
# NVIDIA GPU, without Go and without containers, into the folder OUT: our programs,
# the oracle's programs by nvcc 11.8 and 12.4 (of Debian's packages, as make corpus
# has them), the script itself. With SOURCE=1 also llama.cpp as a git bundle, for
# the sections that build it (35 MB; without it OUT is some 30 MB). With BUNDLE=DIST,
# what `llcuda-build build` left in DIST goes along as a release of its own, signed
# with a key that is thrown away, for the section elsewhere.
. "$(dirname "$0")/env.sh"
out=$1 programs=$CACHE/oracle
cd "$ROOT"
need g++-11 g++-11
need xz xz-utils
commit=$(git describe --always --abbrev=40 --dirty)
scripts/corpus.sh toolkits
mkdir -p "$out/bin" "$programs"
say "building our programs, $commit"
export CGO_ENABLED=1
flags="-s -w -X main.version=$(git describe --tags --always --dirty) -extldflags=-Wl,-z,lazy"
go build -trimpath -ldflags "$flags" -o "$out/bin/" ./cmd/... ./scripts/ask ./scripts/oracle ./scripts/model ./scripts/repack
say "making the oracle's programs with nvcc 11.8 and 12.4 (once: about 10 minutes of one core)"
"$out/bin/oracle" make -out "$programs" -ccbin g++-11 -nvcc "11.8=$CACHE/corpus/cuda-11.8/bin/nvcc" -nvcc "12.4=$CACHE/corpus/cuda-12.4/bin/nvcc"
say "packing"
# By name, so that programs with the same runtime lie beside each other.
tar -C "$programs" --sort=name --owner=0 --group=0 --mtime=@0 -cf - 11.8 12.4 | xz -T2 -3 > "$out/programs.tar.xz.new"
mv "$out/programs.tar.xz.new" "$out/programs.tar.xz"
if [ -n "${BUNDLE:-}" ]; then
  rm -rf "$out/elsewhere"
  mkdir "$out/elsewhere"
  "$out/bin/llcuda-build" keygen --no-password "$out/elsewhere/proof.key"
  "$out/bin/llcuda-build" publish elsewhere "$BUNDLE" --to "dir:$out/elsewhere/releases" --sign-key "$out/elsewhere/proof.key" --partial
  rm "$out/elsewhere/proof.key"
fi
tar -C "$out" --sort=name --owner=0 --group=0 -cf - bin | xz -T2 -3 > "$out/bin.tar.xz" # run.sh unpacks it
rm -r "${out:?}/bin"
mkdir -p "$out/docs/proof" "$out/matrix"
cp docs/proof/run.sh docs/proof/first-gpu-run.sh "$out/docs/proof/"
cp matrix/cuda.yaml "$out/matrix/"
echo "$commit" > "$out/commit"
if [ -n "${SOURCE:-}" ]; then cp "$(scripts/source.sh)" "$out/llama.bundle"; fi
du -sh "$out" >&2
say "carry $out to the machine with the GPU and run there: docs/proof/run.sh in it"

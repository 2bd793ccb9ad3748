#!/bin/bash
# push.sh REF KEY LAYERDIR...: from layers (layer.sh) to the image REF in a
# registry on loopback, made by skopeo; prints the image's digest. No daemon.
# KEY goes into the label org.llcuda.recipe, by which image.sh knows the image
# again; org.llcuda.stand-in says that it is not NVIDIA's.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
ref=$1 key=$2
shift 2
w=$(mktemp -d "$CACHE/images/.push.XXXXXX")
trap 'rm -rf "$w"' EXIT
blobs=$w/oci/blobs/sha256
mkdir -p "$blobs"

layers='' diffs='' history=''
for l; do
  read -r digest size diff < "$l/layer"
  ln "$l/blob" "$blobs/${digest#sha256:}"
  layers+=${layers:+,}'{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"'$digest'","size":'$size'}'
  diffs+=${diffs:+,}'"'$diff'"'
  history+=${history:+,}'{"created":"1970-01-01T00:00:00Z","created_by":"engine/image.sh"}'
done
# blob FILE: moves FILE among the blobs; prints its digest and size as JSON members.
blob() {
  local d
  d=$(sha256sum "$1" | cut -d' ' -f1)
  printf '"digest":"sha256:%s","size":%d' "$d" "$(stat -c %s "$1")"
  mv "$1" "$blobs/$d"
}
# With a toolkit, the two variables that NVIDIA's devel images set for building.
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
env='"PATH='$path'"'
[ $# -lt 2 ] || env='"PATH=/usr/local/cuda/bin:'$path'","LIBRARY_PATH=/usr/local/cuda/lib64/stubs"'
cat > "$w/config" << JSON
{"created":"1970-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{"Env":[$env,"LC_ALL=C.UTF-8"],"Cmd":["/bin/sh"],"Labels":{"org.llcuda.recipe":"$key","org.llcuda.stand-in":"true"}},"rootfs":{"type":"layers","diff_ids":[$diffs]},"history":[$history]}
JSON
cat > "$w/manifest" << JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",$(blob "$w/config")},"layers":[$layers]}
JSON
cat > "$w/oci/index.json" << JSON
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",$(blob "$w/manifest"),"annotations":{"org.opencontainers.image.ref.name":"image"}}]}
JSON
printf '{"imageLayoutVersion":"1.0.0"}' > "$w/oci/oci-layout"
skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false "oci:$w/oci:image" "docker://$ref" 2> "$w/log" ||
  die "skopeo could not push $ref: $(tail -1 "$w/log")" "is the registry up? $HERE/up.sh"
skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$ref"

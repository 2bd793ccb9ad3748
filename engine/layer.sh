#!/bin/bash
# layer.sh DIR OUT: from a folder of files to OUT/blob (a tar, zstd) and
# OUT/layer (one line: digest, size and diff id of that blob). The same files
# make the same bytes: names sorted, owners by number, no time later than the
# day bullseye came out.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
dir=$1 out=$2
EPOCH=2021-08-14T00:00:00Z
rm -rf "$out.partial"
mkdir -p "$out.partial"
mkfifo "$out.partial/pipe"
sha256sum < "$out.partial/pipe" > "$out.partial/diff" &
sum=$!
tar --format=gnu --numeric-owner --sort=name --mtime=$EPOCH --clamp-mtime \
  --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -C "$dir" -cf - . |
  tee "$out.partial/pipe" | zstd -q -3 -T0 -o "$out.partial/blob"
wait $sum
diff=$(cut -d' ' -f1 "$out.partial/diff")
rm "$out.partial/pipe" "$out.partial/diff"
digest=$(sha256sum "$out.partial/blob" | cut -d' ' -f1)
echo "sha256:$digest $(stat -c %s "$out.partial/blob") sha256:$diff" > "$out.partial/layer"
rm -rf "$out"
mv "$out.partial" "$out"

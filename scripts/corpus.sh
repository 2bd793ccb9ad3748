#!/bin/bash
# corpus.sh: the real files that the two witnesses are compared on, in
# $CACHE/corpus, and the comparison. Fetches what others ship out of their own
# packages (nothing of it is ever committed), unpacks CUDA 11.8 and 12.4 and
# builds with both (corpus-build.sh), then runs the differential test. May be
# run again and again: what is there and right is left alone.
#   corpus.sh fetch   only fetches and unpacks
#   corpus.sh build   only builds, too
#   corpus.sh toolkits  only CUDA 11.8 and 12.4
. "$(dirname "$0")/env.sh"
corpus=$CACHE/corpus
missing=()
mkdir -p "$corpus"
exec 9> "$corpus/.lock"
flock 9

# lacks WHAT: something that could not be had; the rest goes on.
lacks() { missing+=("$1"); printf 'corpus: not there: %s\n' "$1" >&2; }
# holds SHA256 FILE
holds() { [ -f "$2" ] && printf '%s  %s\n' "$1" "$2" | sha256sum --check --status; }

# npm_file PACKAGE VERSION FILE SHA256: one library out of an npm package.
npm_file() {
  local dir=$corpus/npm/${1#@} work
  dir=${dir//\//-}
  dir=$corpus/npm/${dir##*npm-}-$2
  holds "$4" "$dir/package/$3" && return
  command -v npm > /dev/null || { lacks "$1@$2 ($3): npm is not installed (apt-get install npm)"; return; }
  say "fetching $1@$2 with npm"
  work=$(mktemp -d "$corpus/.npm-XXXXXX")
  if (cd "$work" && npm pack --silent "$1@$2" > /dev/null 2> npm.log && tar -xzf ./*.tgz) && holds "$4" "$work/package/$3"; then
    mkdir -p "$corpus/npm"
    rm -rf "$dir"
    rm -f "$work"/*.tgz "$work/npm.log"
    mv "$work" "$dir"
  else
    lacks "$1@$2 ($3): npm pack did not bring the file that was measured: $(tail -n 1 "$work/npm.log" 2> /dev/null)"
    rm -rf "$work"
  fi
}

# own SUITE COMMAND…: apt with sources, lists and state of its own, so that
# packages of other Debian suites can be downloaded (never installed).
own() {
  local apt=$CACHE/debs/.apt-$1 suite=$1
  shift
  mkdir -p "$apt"/{lists/partial,archives/partial,parts,preferences}
  : > "$apt/status"
  echo "deb $mirror $suite main contrib non-free" > "$apt/sources.list"
  "$@" -q -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
    -o Dir::Cache="$apt" -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts" \
    -o Dir::Etc::preferencesparts="$apt/preferences" -o Dir::Etc::preferences=/dev/null \
    -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false \
    >> "$corpus/apt.log" 2>&1
}

# deb SUITE PACKAGE VERSION SHA256: sets $deb to the package file, or is false.
# engine/rootfs-cuda.sh keeps the same files in the same place.
deb() {
  local dir=$CACHE/debs/$1
  deb=$dir/$2_${3//:/%3a}_amd64.deb
  holds "$4" "$deb" && return
  [ -n "${mirror:=$("$ROOT/engine/mirror.sh")}" ] || { lacks "$2 $3 of Debian $1: no Debian mirror is known"; return 1; }
  say "fetching $2 $3 of Debian $1 with apt"
  mkdir -p "$dir"
  own "$1" apt-get update || true
  (cd "$dir" && own "$1" apt-get download "$2=$3") || { lacks "$2 $3 of Debian $1: $(grep '^E:' "$corpus/apt.log" | tail -n 1)"; return 1; }
  holds "$4" "$deb" || { lacks "$2 $3 of Debian $1: the file is not the one that was measured"; return 1; }
}

# unpack DEB DIR PATTERN…: what matches, below DIR.
unpack() { dpkg-deb --fsys-tarfile "$1" | tar -C "$2" -xf - --wildcards "${@:3}"; }

# toolkit VERSION SUITE, packages on stdin: Debian's CUDA in $corpus/cuda-VERSION,
# laid out like NVIDIA's: compiler, binary tools, headers, cudart and cuBLAS,
# shared and static.
toolkit() {
  local top=$corpus/cuda-$1 part=$corpus/.cuda-$1.partial files=() name version sha lib=usr/lib/x86_64-linux-gnu
  [ ! -d "$top" ] || return 0
  while read -r name version sha; do
    deb "$2" "$name" "$version" "$sha" || return 0
    files+=("$deb")
  done
  say "unpacking CUDA $1"
  rm -rf "$part"
  mkdir -p "$part"/{bin,nvvm/bin,nvvm/libdevice,u}
  local u=$part/u
  unpack "${files[0]}" "$u" ./usr/bin './usr/lib/nvidia-cuda-toolkit/bin' './usr/lib/nvidia-cuda-toolkit/libdevice'
  unpack "${files[1]}" "$u" --exclude='./usr/include/npp*' ./usr/include "./$lib/libcudart*" "./$lib/libcublas*" "./$lib/libcudadevrt*" "./$lib/libculibos*" './'$lib'/stubs/libcuda.so*'
  for f in "${files[@]:2}"; do unpack "$f" "$u" "./$lib/lib*"; done
  local t=$u/usr/lib/nvidia-cuda-toolkit b
  mv "$t"/bin/{nvcc,crt} "$part/bin/"
  mv "$t/bin/cicc" "$part/nvvm/bin/"
  mv "$t"/libdevice/* "$part/nvvm/libdevice/"
  for b in cuobjdump nvdisasm nvprune nvlink ptxas fatbinary cudafe++ bin2c; do mv "$u/usr/bin/$b" "$part/bin/"; done
  mv "$u/usr/include" "$part/include"
  mv "$u/$lib" "$part/lib64"
  rm -rf "$u"
  cat > "$part/bin/nvcc.profile" << 'PROFILE'
TOP              = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
LD_LIBRARY_PATH += $(TOP)/lib64:
PATH            += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES        += "-I$(TOP)/include" $(_SPACE_)
LIBRARIES       =+ $(_SPACE_) "-L$(TOP)/lib64/stubs" "-L$(TOP)/lib64"
CUDAFE_FLAGS    +=
PTXAS_FLAGS     +=
PROFILE
  mv "$part" "$top"
}

toolkits() {
  toolkit 11.8 bookworm << 'DEBS'
nvidia-cuda-toolkit 11.8.89~11.8.0-5~deb12u1 d1156026e704fe0368b6295db06224ed00a727966fb13454f34e3f3102db0457
nvidia-cuda-dev 11.8.89~11.8.0-5~deb12u1 dc63bf2fb94aaaf903e9bad0c35f631266077d016b34329ec7af456bd7fed5ec
libcudart11.0 11.8.89~11.8.0-5~deb12u1 6c0e4052f5cb7ffcd70989110ed51af7c506ff7dc60d49900ae316ac9abaee29
libcublas11 11.11.3.6~11.8.0-5~deb12u1 3d995cec30df45e0c6bbd9cbd4fefa1a0635294077066f81ecfa9ee92a49d144
libcublaslt11 11.11.3.6~11.8.0-5~deb12u1 078aa59e43c8d8c58b816160c37391913c78c23185f81a98ee29bbdddf6d04a7
DEBS
  toolkit 12.4 trixie << 'DEBS'
nvidia-cuda-toolkit 12.4.131~12.4.1-2 cd5fe85aee38d108b315f408a688641478f2402622a10c677478eb7a6c4e5319
nvidia-cuda-dev 12.4.127~12.4.1-2 d846838f914a0176948d48a8bcade5d6dbcccb5c9374343f6475f5503f173ee0
libcudart12 12.4.127~12.4.1-2 361b3721cf84bf068e111ff013c819de61cb475268b0d38db99839471f1b4130
libcublas12 12.4.5.8~12.4.1-2 2ddc22809d16b157021a4d57db6b2221cf7c46f42654c95df86ce73beb15c1f7
libcublaslt12 12.4.5.8~12.4.1-2 2f67754a6dd7095de1a5c4503f20539981f31f0cd627565973c547e997fc7732
DEBS
}

fetch() {
  npm_file @node-llama-cpp/linux-x64-cuda 3.22.1 bins/linux-x64-cuda/libggml-cuda.so f00882ca593ddf380778f5ac835690bcdaad951cd4700829c7a03aa0c32bcf47
  npm_file @node-llama-cpp/linux-x64-cuda-ext 3.22.1 bins/linux-x64-cuda/fallback/libggml-cuda.so 4f46521c1a9d4aa04c412977ac717018c1d607eec871a438ee2ee270f220c9e4
  toolkits
  # The lab notes had it from forky; since then (seen 2026-11-25) only sid has it.
  if [ ! -d "$corpus/debian" ] && deb sid libggml0-backend-cuda 0.27.0-1 f462a7cfcde19dba22f463fff3a0ab1644dac47a0ee293c49d8032c7693ad823; then
    say "unpacking Debian's libggml-cuda.so"
    rm -rf "$corpus/.debian"
    mkdir "$corpus/.debian"
    unpack "$deb" "$corpus/.debian" './usr/lib/*'
    mv "$corpus/.debian" "$corpus/debian"
  fi
}

if [ "${1:-}" = toolkits ]; then toolkits; else fetch; fi
case ${1:-} in fetch | toolkits) ;; *) "$ROOT/scripts/corpus-build.sh" "$corpus" ;; esac
if [ -z "${1:-}" ]; then
  say "comparing inspect with cuobjdump"
  cd "$ROOT" || exit
  LLCUDA_CORPUS=$corpus go test -count=1 -tags corpus -timeout 60m -v -run '^TestCorpus' ./internal/verify | grep -v '^=== '
fi
[ "${#missing[@]}" = 0 ] || die "${#missing[@]} of the corpus could not be fetched: $(printf '%s; ' "${missing[@]}")"

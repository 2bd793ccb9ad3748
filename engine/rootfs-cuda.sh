#!/bin/bash
# rootfs-cuda.sh NAME OUTDIR BASEDIR: from the Debian packages of
# recipes/NAME.conf to a CUDA toolkit in OUTDIR/usr/local/cuda-VERSION, laid out
# as in NVIDIA's images, to lie over BASEDIR (a root by rootfs.sh). Packages are
# unpacked, not installed: they ask for a newer Debian than NVIDIA's programs
# do. Kept is what building llama.cpp takes: compiler, binary tools, headers,
# cudart, cuBLAS (shared and static), libcuda's stub; not cuFFT, NPP and so on.
# Before OUTDIR appears, its nvcc has compiled and linked a program over BASEDIR.
set -euo pipefail
. "$(dirname "$0")/paths.sh"
name=$1 out=$2 base=$3
. "$HERE/recipes/$name.conf"
need_root

# An apt of our own: sources, lists and state in the cache, the keys the host's.
mirror=$("$HERE/mirror.sh") || exit 1
debs=$CACHE/debs/$SUITE
apt=$CACHE/debs/.apt-$SUITE
mkdir -p "$debs" "$apt"/{lists/partial,archives/partial,parts,preferences}
: > "$apt/status"
echo "deb $mirror $SUITE main contrib non-free" > "$apt/sources.list"
own() {
  "$@" -q -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
    -o Dir::Cache="$apt" -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts" \
    -o Dir::Etc::preferencesparts="$apt/preferences" -o Dir::Etc::preferences=/dev/null \
    -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false \
    >> "$out.log" 2>&1
}
list=$(awk 'NF { print $1 }' <<< "$PACKAGES")
mkdir -p "$(dirname "$out")"
say "downloading $(wc -w <<< "$list") packages of $SUITE, 1.1 to 1.3 GB where not cached in $debs (log: $out.log)"
# shellcheck disable=SC2086,SC2015 # a list; and either failure is the same news
own apt-get update && (cd "$debs" && own apt-get download $list) ||
  die "apt could not download CUDA $TOOLKIT from $SUITE: $(grep '^E:' "$out.log" | tail -1)" "see $out.log; is the Debian mirror reachable?"

part=$out.partial
rm -rf --one-file-system "$part"
top=$part/usr/local/cuda-$TOOLKIT
mkdir -p "$top"/{bin,nvvm/bin,nvvm/libdevice,include,lib64/stubs,licences} "$part/tmp.unpacked"
umask 022
u=$part/tmp.unpacked
lib=usr/lib/x86_64-linux-gnu
say "unpacking"
for p in $list; do
  f=$(find "$debs" -name "${p}_*.deb" -printf '%T@ %p\n' | sort -rn | awk 'NR == 1 { print $2 }')
  dpkg-deb --fsys-tarfile "$f" | tar -C "$u" -xf - --wildcards --no-wildcards-match-slash \
    --exclude='./usr/include/npp*' --exclude='./usr/include/cuda-gdb' \
    --exclude='./'$lib'/lib[!c]*' --exclude='./'$lib'/libcu[!bdl]*' --exclude='./'$lib'/cuda-gdb' --exclude='./'$lib'/stubs/lib[!cn]*' \
    --exclude='./'$lib'/stubs/libcu[!bd]*' --exclude='./'$lib'/stubs/libnp*' --exclude='./'$lib'/stubs/libnvj*' \
    --exclude='./usr/lib/nvidia-cuda-toolkit/compute-sanitizer'
  basename "$f" .deb >> "$top/packages.txt"
  cp "$u/usr/share/doc/$p/copyright" "$top/licences/$p" 2> /dev/null || true
done

# Debian's places to NVIDIA's.
t=$u/usr/lib/nvidia-cuda-toolkit
mv "$t"/bin/{nvcc,crt} "$top/bin/"
mv "$t/bin/cicc" "$top/nvvm/bin/"
mv "$t"/libdevice/* "$top/nvvm/libdevice/"
for b in cuobjdump nvdisasm nvprune nvlink ptxas fatbinary cudafe++ bin2c cu++filt __nvcc_device_query; do mv "$u/usr/bin/$b" "$top/bin/"; done
cp -a "$u/usr/include/." "$top/include/"
mv "$u/$lib"/lib*.{so*,a} "$top/lib64/"
mv "$u/$lib"/stubs/* "$top/lib64/stubs/"
rm -rf "$u"
ln -s "cuda-$TOOLKIT" "$part/usr/local/cuda"
mkdir -p "$part/etc/ld.so.conf.d"
echo /usr/local/cuda/lib64 > "$part/etc/ld.so.conf.d/000-cuda.conf"
# Where nvcc finds its parts, relative to itself.
cat > "$top/bin/nvcc.profile" << 'PROFILE'
TOP              = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
LD_LIBRARY_PATH += $(TOP)/lib64:
PATH            += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES        += "-I$(TOP)/include" $(_SPACE_)
LIBRARIES       =+ $(_SPACE_) "-L$(TOP)/lib64/stubs" "-L$(TOP)/lib64"
CUDAFE_FLAGS    +=
PTXAS_FLAGS     +=
PROFILE

# Proof, over the base: linker cache, then a kernel and a cuBLAS call for sm_75.
say "proving nvcc $TOOLKIT with g++-10"
work=$out.work
rm -rf --one-file-system "$work"
mkdir -p "$work"/{w,root,scratch}
cat > "$work/prove" << 'PROVE'
set -e
cd /tmp
cat > t.cu << 'CU'
#include <cublas_v2.h>
#include <cub/cub.cuh>
#include <thrust/device_vector.h>
#include <cuda/std/type_traits>
#include <cuda_fp16.h>
__global__ void twice(half *x) { x[threadIdx.x] = __hadd(x[threadIdx.x], x[threadIdx.x]); }
int main() { cublasHandle_t h; twice<<<1, 32>>>(nullptr); thrust::device_vector<int> v; return cublasCreate(&h) == CUBLAS_STATUS_SUCCESS; }
CU
nvcc -ccbin g++-10 -std=c++17 -arch=sm_75 t.cu -o t -cudart shared -lcublas -lcuda
cuobjdump --list-elf t | grep -q 'sm_75\.cubin'
ldd t | grep -E 'cublas|cudart'
nvcc --version | grep release
PROVE
shown=$(unshare --mount --propagation private bash -c '
  set -e
  mount -t overlay overlay -o "lowerdir=$2,upperdir=$1,workdir=$3/w" "$3/root"
  ldconfig -r "$3/root"
  mount -t tmpfs tmpfs "$3/root/tmp"
  mount -t proc proc "$3/root/proc"
  mount --bind /dev "$3/root/dev"
  exec chroot "$3/root" /usr/bin/env -i PATH=/usr/local/cuda/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp bash -s < "$3/prove"
' prove "$part" "$base" "$work" 2>&1) || { printf '%s\n' "$shown" >> "$out.log"; die "nvcc of $SUITE does not build a program over the base image: $(tail -1 <<< "$shown")" "see $out.log"; }
printf '%s\n' "$shown" >> "$out.log"
grep -q "release $TOOLKIT," <<< "$shown" || die "$SUITE's nvcc is $(grep release <<< "$shown"), not $TOOLKIT" "Debian moved on: pin another suite in recipes/$name.conf"
! grep -q 'not found' <<< "$shown" || die "the program's libraries are not found: $(grep 'not found' <<< "$shown" | head -1)" "see $out.log"

# A folder where the base has a symbolic link (/lib) would replace that link.
for d in "$part"/*; do
  [ ! -L "$base/${d##*/}" ] || die "the layer holds /${d##*/}, a symbolic link in the base" "rootfs-cuda.sh must move what is in it"
done
rm -rf --one-file-system "$work" "$part/var/cache/ldconfig" "$part/tmp"
mv "$part" "$out"

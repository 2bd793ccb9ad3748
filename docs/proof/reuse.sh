#!/bin/bash
# reuse.sh prepare TREE.tgz | thin | both | plain | compare: what matrix/reuse.sh does to
# real llama.cpp with this machine's nvcc, and whether what it makes is right on this
# machine's GPU. Run in the repository's root; everything lies in /tmp/p and /llcuda.
#   thin   sm_90 alone, from nothing, keeping what cicc and ptxas made
#   both   sm_90 and sm_100, with what thin kept
#   plain  sm_90 and sm_100 by NVIDIA's tools alone
# compare holds the machine code of the three together and runs test-backend-ops of both.
set -eu
p=/tmp/p
case $1 in
prepare)
  mkdir -p $p/src && tar -xzf "$2" -C $p/src
  top=$(readlink -f "$(command -v nvcc)") top=${top%/bin/nvcc}
  # A toolkit of links, so that NVIDIA's own stays as it is.
  cp -rs "$top" $p/cuda
  for f in bin/nvcc bin/nvcc.profile bin/ptxas nvvm/bin/cicc; do cp --remove-destination "$top/$f" $p/cuda/$f; done
  PATH=$p/cuda/bin:$PATH sh -euc "$(cat matrix/reuse.sh)" prepare "$(cat matrix/reuse-tool.sh)" "$(cat matrix/reuse-host.sh)" /llcuda/reused.txt "${CUDAHOSTCXX:-g++}"
  nvcc --version | tail -n 2
  g++ --version | head -n 1
  nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
  nproc
  ls -l $p/cuda/bin/ptxas* $p/cuda/nvvm/bin/cicc*
  exit ;;
thin) archs=90-real ;;
both | plain) archs='90-real;100-real' ;;
compare)
  cd $p
  for b in thin both plain; do
    mkdir -p x-$b
    (cd x-$b && rm -f ./* && cuobjdump -xelf all ../bld-$b/bin/libggml-cuda.so >/dev/null
      for sm in 90 100; do
        find . -name "*sm_$sm.cubin" -exec sha256sum {} + | cut -c 1-64 | sort >../$b.$sm
        echo "$b: $(wc -l <../$b.$sm) cubins of sm_$sm"
      done)
  done
  echo "sm_90: $(comm -12 thin.90 both.90 | wc -l) cubins are those of the thin build, $(comm -12 plain.90 both.90 | wc -l) those of NVIDIA's tools alone"
  for op in SOFT_MAX RMS_NORM MUL_MAT FLASH_ATTN_EXT; do
    LD_LIBRARY_PATH=$p/bld-both/bin timeout 60 bld-both/bin/test-backend-ops test -b CUDA0 -o $op >op.txt 2>&1 || echo "exit $? (124: stopped after 60 s)"
    echo "$op: $(grep -c 'OK' op.txt) OK, $(grep -c FAIL op.txt) FAIL; $(grep -E 'tests passed' op.txt | tail -n 1)"
  done
  exit ;;
esac
export LLCUDA_REUSE='' LLCUDA_REUSE_LOG=/llcuda/reused.txt
nvcc=$p/cuda/bin/nvcc host=${CUDAHOSTCXX:-g++}
case $1 in
plain) nvcc=$(command -v nvcc) ;;
*) LLCUDA_REUSE=$p/kept host=/llcuda/bin/${host##*/} ;;
esac
: >$LLCUDA_REUSE_LOG
rm -rf $p/bld $p/bld-"$1"
export CUDAHOSTCXX=$host
cmake -G Ninja -S $p/src -B $p/bld -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DGGML_CUDA=ON -DGGML_CUDA_NCCL=OFF \
  -DGGML_CUDA_CUB_3DOT2=OFF -DGGML_CUDA_COMPRESSION_MODE=none -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_BORINGSSL=OFF -DLLAMA_LLGUIDANCE=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_UI=OFF \
  -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_TESTS=ON -DGIT_EXECUTABLE=/bin/false -DGIT_EXE= \
  -DCMAKE_CUDA_COMPILER="$nvcc" "-DCMAKE_CUDA_ARCHITECTURES=$archs" >$p/configure-"$1".txt 2>&1 || { tail -n 20 $p/configure-"$1".txt; exit 1; }
from=$(date +%s)
ninja -C $p/bld ggml-cuda >$p/build-"$1".txt 2>&1 || { tail -n 20 $p/build-"$1".txt; exit 1; }
echo "$1: libggml-cuda.so for $archs in $(($(date +%s) - from)) s; cicc reused $(grep -c 'reused cicc' $LLCUDA_REUSE_LOG) of $(grep -c cicc $LLCUDA_REUSE_LOG), ptxas $(grep -c 'reused ptxas' $LLCUDA_REUSE_LOG) of $(grep -c ptxas $LLCUDA_REUSE_LOG), which took $(awk '/^reused/ {ms += $3} END {printf "%d", ms / 1000}' $LLCUDA_REUSE_LOG) s when they were made"
[ "$1" = thin ] || ninja -C $p/bld test-backend-ops >$p/ops-"$1".txt 2>&1 || { tail -n 20 $p/ops-"$1".txt; exit 1; }
# nvcc derives names from the folder it runs in: all three are built in one.
mv $p/bld $p/bld-"$1"
[ -z "$LLCUDA_REUSE" ] || du -sm "$LLCUDA_REUSE"

# shellcheck shell=sh
# small-cublas: puts small libraries in the place of the toolkit's cuBLAS and
# cuBLASLt, under their names, SONAMEs and version nodes: the first with machine code for
# all that nvcc compiles for and the calls of testdata/fixture. An image without nvcc stays
# as it is. It is a prepare step of rehearse-release.sh's own matrix and of nothing else.
command -v nvcc >/dev/null 2>&1 || exit 0
work=$(mktemp -d)
gencode=$(nvcc --list-gpu-code | sed -n 's/^sm_\([0-9]*\)$/-gencode arch=compute_\1,code=sm_\1/p')
for name in libcublas libcublasLt; do
	file=$(readlink -f "/usr/local/cuda/lib64/$name.so")
	soname=$(readelf -d "$file" | sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p')
	printf '%s { global: *; };\n' "$soname" >"$work/node"
	echo "extern \"C\" void ${name}_small() {}" >"$work/$name.cu"
	codes=
	[ "$name" = libcublasLt ] || {
		codes=$gencode
		cat >>"$work/$name.cu" <<-'END'
			extern "C" __global__ void small(float *x) { x[threadIdx.x] += 1; }
			extern "C" int cublasCreate_v2(void **h) { small<<<1, 1>>>((float *)(*h = 0)); return 1; }
			extern "C" int cublasDestroy_v2(void *) { return 1; }
		END
	}
	# shellcheck disable=SC2086 # arguments
	nvcc -ccbin g++-10 -shared -cudart shared -Wno-deprecated-gpu-targets -Xcompiler -fPIC $codes \
		-Xlinker -soname="$soname" -Xlinker --version-script="$work/node" -o "$work/$name" "$work/$name.cu"
	strip --strip-unneeded "$work/$name"
	rm "$file"
	cp "$work/$name" "$file"
	chmod 644 "$file"
done
rm -r "$work"

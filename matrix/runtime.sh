# shellcheck shell=sh
# runtime FORM OUT SCRATCH [CALL… -- SM…]
# Makes the folder of a CUDA runtime out of the toolkit that nvcc belongs to.
#   stock: NVIDIA's libcudart, libcublas and libcublasLt as they are, byte for
#          byte, each with a link of its SONAME.
#   lean:  NVIDIA's libcudart, and one libcublas of the same SONAME and version
#          node, linked from the static cuBLAS and cuBLASLt: what the CALLs need,
#          pruned to the SMs. OUT/reference holds the same library not pruned.
# Either has NVIDIA's licence beside it; without one nothing is made.
form=$1 out=$2 scratch=$3
shift 3
fail() { echo "runtime: $*" >&2; exit 1; }

umask 022
export LC_ALL=C
nvcc=$(command -v nvcc) || fail "there is no nvcc on PATH"
nvcc=$(readlink -f "$nvcc")
root=${nvcc%/bin/nvcc}
mkdir -p "$out/LICENSES" "$scratch"

# find_file NAME… prints where the toolkit has the first of them that is there.
find_file() {
	for name in "$@"; do
		for dir in "$root/lib64" "$root/targets/x86_64-linux/lib" /usr/lib/x86_64-linux-gnu /usr/lib64; do
			for file in "$dir"/$name; do
				[ ! -f "$file" ] || { readlink -f "$file"; return; }
			done
		done
	done
	fail "the toolkit of $nvcc has no $*"
}

# soname FILE
soname() { readelf -d "$1" | sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p'; }

# stock NAME copies NVIDIA's lib NAME, untouched.
stock() {
	file=$(find_file "$1.so" "$1.so.[0-9]*")
	cp "$file" "$out/${file##*/}"
	chmod 644 "$out/${file##*/}"
	link=$(soname "$file")
	[ -n "$link" ] || fail "$file has no SONAME"
	[ "$link" = "${file##*/}" ] || ln -s "${file##*/}" "$out/$link"
}

# NVIDIA's terms: of the toolkit or, where it came as packages, of these.
licences=0
for file in "$root/EULA.txt" "$root/LICENSE" /usr/local/cuda/EULA.txt /NGC-DL-CONTAINER-LICENSE \
	"$root"/licences/libcublas* "$root"/licences/libcudart* "$root"/licences/nvidia-cuda-dev \
	/usr/share/licenses/libcublas*/* /usr/share/licenses/cuda-cudart*/* \
	/usr/share/doc/libcublas*/copyright /usr/share/doc/libcudart*/copyright; do
	[ -f "$file" ] || continue
	name=${file##*/}
	case $name in copyright | LICENSE*) name=${file%/*} name=${name##*/} ;; esac
	[ ! -e "$out/LICENSES/NVIDIA-$name" ] || continue
	cp "$file" "$out/LICENSES/NVIDIA-$name"
	chmod 644 "$out/LICENSES/NVIDIA-$name"
	licences=$((licences + 1))
done
[ "$licences" -gt 0 ] || fail "NVIDIA's licence was not found in this image: its libraries may not be passed on without it"

stock libcudart
if [ "$form" = stock ]; then
	stock libcublas
	stock libcublasLt
	exit
fi

# lean
shared=$(find_file libcublas.so "libcublas.so.[0-9]*")
name=$(soname "$shared")
nvprune=$root/bin/nvprune
[ -x "$nvprune" ] || nvprune=$(command -v nvprune) || fail "there is no nvprune: add NVIDIA's package of it to the toolkit's packages in the matrix"
blas=$(find_file libcublas_static.a)
lt=$(find_file libcublasLt_static.a)
ibos=$(find_file libculibos.a)
cudart=$(find_file libcudart.so "libcudart.so.[0-9]*")

{
	echo "$name {"
	echo " global:"
	: >"$scratch/calls"
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		echo "  $1;"
		echo "-Wl,-u,$1" >>"$scratch/calls"
		shift
	done
	echo " local: *;"
	echo "};"
} >"$scratch/version.map"
shift
targets=
for sm in "$@"; do
	targets="$targets -gencode arch=compute_$sm,code=sm_$sm"
done

# join FILE ARCHIVE ARCHIVE links one shared library.
join() {
	file=$1
	shift
	"${CUDAHOSTCXX:-${CXX:-g++}}" -shared -o "$file" @"$scratch/calls" "$@" "$ibos" "$cudart" -ldl -lpthread -lrt -lm \
		-static-libgcc -static-libstdc++ "-Wl,-soname,$name" "-Wl,--version-script,$scratch/version.map" -Wl,--gc-sections \
		-Wl,--build-id=none -Wl,-z,defs -Wl,-Bsymbolic -Wl,--enable-new-dtags '-Wl,-rpath,$ORIGIN'
	strip --strip-unneeded "$file"
	chmod 644 "$file"
}
mkdir "$out/reference"
join "$out/reference/$name" "$blas" "$lt"
# shellcheck disable=SC2086 # a list
"$nvprune" $targets -o "$scratch/libcublas_static.a" "$blas"
# shellcheck disable=SC2086
"$nvprune" $targets -o "$scratch/libcublasLt_static.a" "$lt"
join "$out/$name" "$scratch/libcublas_static.a" "$scratch/libcublasLt_static.a"
rm "$scratch"/libcublas_static.a "$scratch"/libcublasLt_static.a

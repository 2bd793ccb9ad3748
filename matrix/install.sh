# shellcheck shell=sh
# install BIN OUT SRC EXE… -- EXPECTED…
# Makes the flat folder of a bundle: executables and libraries side by side, each
# library under the one name the loader asks for, nothing but what runs, and the
# licences. Fails where OUT is not empty or something expected is not there.
fail() { echo "install: $*" >&2; exit 1; }

bin=$1 out=$2 src=$3
shift 3
umask 022
[ -d "$bin" ] || fail "no folder $bin: was anything built?"
mkdir -p "$out"
[ -z "$(ls -A "$out")" ] || fail "$out is not empty"

# put FILE NAME MODE
# Its name is taken at once; stripping goes on beside the others', see placed.
jobs=
put() {
	[ ! -e "$out/$2" ] || fail "two built files want the name $2"
	: >"$out/$2"
	{ strip --strip-unneeded -o "$out/$2" "$1" && chmod "$3" "$out/$2"; } &
	jobs="$jobs $!"
}
placed() {
	for job in $jobs; do wait "$job" || fail "a built file could not be copied and stripped"; done
}

while [ $# -gt 0 ] && [ "$1" != -- ]; do
	[ -f "$bin/$1" ] || fail "executable $1 was not built"
	put "$bin/$1" "$1" 755
	shift
done
[ $# -eq 0 ] || shift

for lib in "$bin"/lib*.so "$bin"/lib*.so.*; do
	if [ ! -f "$lib" ] || [ -L "$lib" ]; then continue; fi
	name=$(readelf -d "$lib" | sed -n 's/.*(SONAME).*\[\(.*\)\].*/\1/p')
	[ -n "$name" ] || name=${lib##*/}   # a backend module has no SONAME: it is opened by file name
	case $name in
	*/*) fail "the SONAME of ${lib##*/} is a path: $name" ;;
	esac
	put "$lib" "$name" 644
done

placed

mkdir "$out/LICENSES"
licence() {
	[ ! -e "$out/LICENSES/$2" ] || fail "two licences want the name $2"
	cp "$1" "$out/LICENSES/$2"
	chmod 644 "$out/LICENSES/$2"
}
[ -f "$src/LICENSE" ] || fail "the source has no LICENSE"
licence "$src/LICENSE" llama.cpp.LICENSE
[ ! -f "$src/AUTHORS" ] || licence "$src/AUTHORS" llama.cpp.AUTHORS
for file in "$src"/licenses/*; do
	[ ! -f "$file" ] || licence "$file" "${file##*/}"
done
for file in "$src"/vendor/*/LICENSE; do
	[ -f "$file" ] || continue
	dir=${file%/LICENSE}
	licence "$file" "${dir##*/}.LICENSE"
done

missing=
for file in "$@"; do
	[ -f "$out/$file" ] || missing="$missing $file"
done
[ -z "$missing" ] || fail "expected and not built:$missing"

# shellcheck shell=sh
# draft FROM SRC BLD CONFIGURE BUILD INSTALL
# Builds in folders that are kept from draft to draft: SRC, a copy of FROM in which a
# file is written only when its content is another, and BLD, Ninja's tree. Ninja knows
# a change by its time, and FROM's times say nothing. The last three are lines of shell.
# All of it is one command, because whoever runs it holds both folders alone for just
# one. A draft that was killed may have left half a file that looks finished: the next
# one starts from nothing, and ccache has what was compiled.
from=$1 src=$2 bld=$3 configure=$4 build=$5 install=$6
umask 022
tab=$(printf '\t') busy=$bld/.llcuda-busy have=$bld/.llcuda-source want=$bld/.llcuda-source.new
mkdir -p "$src" "$bld"
if [ -e "$busy" ] || [ ! -e "$have" ]; then
	[ ! -e "$busy" ] || echo "draft: the last one was stopped in the middle: starting from nothing" >&2
	: >"$busy"
	find "$src" -mindepth 1 -delete
	find "$bld" -mindepth 1 ! -path "$busy" -delete
	: >"$have"
fi
: >"$busy"

# One line for each thing that may differ: CONTENT, a tab, NAME.
cd "$from" || exit
{
	# On all cores, each process into a file of its own.
	find . -type f -print0 | xargs -0r -n 256 -P "$(nproc)" sh -c 'b2sum -- "$@" >"$0.$$"' "$want.sums"
	cat "$want.sums".* 2>/dev/null | sed "s/  /$tab/"
	rm -f "$want.sums".*
	find . -type f -perm -100 -printf 'executable\t%p\n'
	find . -type l -printf 'link to %l\t%p\n'
} | LC_ALL=C sort >"$want"
if grep -q '^\\' "$want"; then
	echo "draft: a file name of the source holds a backslash or a line's end: build without --draft" >&2
	rm -f "$busy"
	exit 1
fi
# What is gone or is another goes first: a folder may have its name now. The list of
# what SRC holds is put aside until SRC is that.
for which in -13 -23; do
	LC_ALL=C comm "$which" "$have" "$want" | cut -f 2- | sort -u | tr '\n' '\0' | (cd "$src" && xargs -0r rm -rf --)
done
LC_ALL=C comm -13 "$have" "$want" | cut -f 2- | sort -u | tr '\n' '\0' | xargs -0r cp -P --parents -t "$src" --
find "$src" -mindepth 1 -type d -empty -delete
# Ninja runs CMake itself where one of CMake's files is another. Which files there are,
# and what else CMake is told, only a new run of it learns.
cut -f 2- "$want" | sort -u >"$want.names"
{ cat "$want.names"; printf '%s\n' "$configure"; } | sha256sum >"$want.told"
rm -f "$want.names"
mv "$want" "$have"

# A step that fails leaves whole files: the next draft goes on from there.
trap 'rm -f "$busy"' EXIT
cd "$bld" || exit
if [ ! -f build.ninja ] || ! cmp -s "$want.told" "$have.told"; then
	rm -f "$have.told"
	eval "$configure"
	mv "$want.told" "$have.told"
fi
eval "$build"
eval "$install"

# shellcheck shell=sh
# record FILE
# Writes which tools build here, one key=value line for each. A tool that is not
# there, or does not say its version, gets no line.
file=$1
dir=${file%/*}
mkdir -p "$dir"
: >"$file"

# say KEY VALUE
say() {
	[ -z "$2" ] || printf '%s=%s\n' "$1" "$2" >>"$file"
}
# first COMMAND… prints the first line that the command says.
first() {
	command -v "$1" >/dev/null 2>&1 || return 0
	"$@" 2>/dev/null | sed -n 1p
}

say cc "$(first "${CC:-cc}" --version)"
say cxx "$(first "${CXX:-c++}" --version)"
if command -v nvcc >/dev/null 2>&1; then
	say cudahostcxx "$(first "${CUDAHOSTCXX:-c++}" --version)"
	say nvcc "$(nvcc --version | sed -n 's/.*release .*, V\([0-9.]*\).*/\1/p')"
fi
say cmake "$(first cmake --version | sed 's/^cmake version //')"
say ninja "$(first ninja --version)"
say ccache "$(first ccache --version | sed 's/^ccache version //')"
say ld "$(first ld --version)"
say strip "$(first strip --version)"
say libc "$(first getconf GNU_LIBC_VERSION)"
say os "$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release 2>/dev/null || :)"

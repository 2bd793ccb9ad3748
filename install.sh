#!/bin/sh
# install.sh: puts llcuda-run into ~/.local/bin (or PREFIX/bin). Nothing else is
# changed, and root is not needed.
#
#   curl -fsSL https://github.com/waqasm86/llcuda/releases/latest/download/install.sh | sh
#   sh install.sh [TAG]
#
#   PREFIX       where to install: PREFIX/bin/llcuda-run (default: ~/.local)
#   LLCUDA_FROM  another release source: github:OWNER/REPO[@TAG], https://MIRROR or a folder
#   LLCUDA_GITHUB  where github:OWNER/REPO is, if not at https://github.com
#   LLCUDA_KEY   a minisign public key (or two, while one replaces the other), or a .pub file or its text: then the program's signature must be its own
#
# The program's SHA-256 must be the one in the release's SHA256SUMS. That file comes
# from the same place: it finds damage and half downloads. Who made the program is
# told by its signature, which is checked where a key is pinned below or given, with
# minisign.
set -eu

REPOSITORY=waqasm86/llcuda
# The owner's public keys, as in bundles/key.go, between blanks; empty until he adds one.
PINNED=''
FILE=llcuda-run-linux-amd64
# The oldest glibc that the program runs on: the matrix's promise, to which
# `llcuda-build programs` holds it.
GLIBC=2.28

say() { printf 'install.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

check_system() {
	system=$(uname -s) machine=$(uname -m)
	case $system in
	Linux) ;;
	MINGW* | MSYS* | CYGWIN* | Windows*) die "llcuda-run is for Linux: on Windows run this inside WSL 2." ;;
	*) die "llcuda-run is for Linux on x86-64, and this is $system." ;;
	esac
	case $machine in
	x86_64 | amd64) ;;
	aarch64 | arm64) die "llcuda-run is for x86-64, and this machine is $machine: there are no bundles for ARM yet." ;;
	*) die "llcuda-run is for x86-64, and this machine is $machine." ;;
	esac
	libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || :)
	case $libc in
	"glibc "*) libc=${libc#glibc } ;;
	*) die "llcuda-run needs glibc, and this system has another C library (musl?): use a container with Debian, Ubuntu or Rocky Linux." ;;
	esac
	older=$(printf '%s\n%s\n' "$libc" "$GLIBC" | sort -t . -k 1,1n -k 2,2n | sed -n 1p)
	[ "$older" = "$GLIBC" ] || die "llcuda-run needs glibc $GLIBC or newer, and this system has $libc."
}

# check_way URL-OR-FOLDER: whether and how it can be read at all.
check_way() {
	loopback=
	case $1 in
	https://*) ;;
	http://127.0.0.1:* | http://localhost:*) loopback=1 ;;
	http://*) die "$1 is not encrypted: give an https:// address." ;;
	*)
		[ -d "$1" ] || die "$1 is no folder."
		return
		;;
	esac
	have curl || have wget || die "neither curl nor wget is here: install one of them."
}

# get URL-OR-FILE TO: downloads or copies.
get() {
	case $1 in
	http*://*)
		if ! have curl; then wget -q -O "$2" "$1"
		elif [ -n "$loopback" ]; then curl -fsSL -o "$2" "$1"
		else curl -fsSL --retry 3 --proto '=https' --tlsv1.2 -o "$2" "$1"; fi
		;;
	*) cp "$1" "$2" ;;
	esac
}

# locate FROM TAG: sets base, where the release's files are, and tag, "" where it
# is not known.
locate() {
	from=$1 tag=$2 repository=''
	case $from in
	github:*)
		from=${from#github:}
		case $from in *@*) [ -n "$tag" ] || tag=${from#*@}; from=${from%%@*} ;; esac
		repository=github:$from
		server=${LLCUDA_GITHUB:-https://github.com}
		base=$server/$from/releases/latest/download
		[ -z "$tag" ] || base=$server/$from/releases/download/$tag
		check_way "$base"
		return
		;;
	esac
	from=${from%/}
	check_way "$from"
	# A folder or mirror of releases names its newest in `latest`; else it is one release's own folder.
	if [ -z "$tag" ] && get "$from/latest" "$tmp/latest" 2>/dev/null; then
		tag=$(sed -n 1p "$tmp/latest")
	fi
	case $tag in */* | .*) die "$from names a release \"$tag\", which is no tag." ;; esac
	base=$from
	[ -z "$tag" ] || base=$from/$tag
}

sha256() {
	if have sha256sum; then sha256sum "$1"
	elif have shasum; then shasum -a 256 "$1"
	else openssl dgst -sha256 -r "$1"; fi | sed 's/[^0-9a-f].*//'
}

check_sum() {
	get "$base/SHA256SUMS" "$tmp/SHA256SUMS" || die "$base has no SHA256SUMS: is it a release of llcuda?"
	want=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$FILE\$/\1/p" "$tmp/SHA256SUMS")
	[ ${#want} = 64 ] || die "SHA256SUMS of $base does not name $FILE once."
	get "$base/$FILE" "$tmp/$FILE" || die "$base/$FILE cannot be fetched."
	got=$(sha256 "$tmp/$FILE")
	[ "$got" = "$want" ] || die "$FILE has SHA-256 $got, and SHA256SUMS says $want: nothing was installed. Try again; if it stays, tell the owner of $base."
	say "SHA-256 is as in SHA256SUMS: $got"
}

# signed_by KEY…: what the signature says that it is for, if one of the keys made it.
signed_by() {
	for key in "$@"; do
		if [ -f "$key" ]; then flag=-p; else flag=-P; fi
		minisign -V -Q "$flag" "$key" -m "$tmp/$FILE" -x "$tmp/$FILE.minisig" 2>/dev/null && return
	done
	return 1
}

check_signature() {
	if [ -z "${LLCUDA_KEY:-$PINNED}" ]; then
		say "the signature was not checked: no key is pinned yet, and LLCUDA_KEY gives none."
		return
	fi
	if ! have minisign; then
		[ -z "${LLCUDA_KEY:-}" ] || die "LLCUDA_KEY is set and minisign is not here to check with: install minisign, or unset LLCUDA_KEY."
		say "the signature was not checked: minisign is not here."
		return
	fi
	get "$base/$FILE.minisig" "$tmp/$FILE.minisig" || die "$base has no signature of $FILE."
	# A file of a key, keys between blanks, or the text of such a file: there the key is the last line that is not empty.
	if [ -f "${LLCUDA_KEY:-}" ]; then set -- "$LLCUDA_KEY"
	else
		# shellcheck disable=SC2046 # keys are words
		set -- $(printf '%s\n' "${LLCUDA_KEY:-$PINNED}" | sed -n '/./h;${g;p;}')
	fi
	comment=$(signed_by "$@") || die "the signature of $FILE does not hold: nothing was installed."
	# A mirror may hold any repository's releases, and a bare folder any release.
	shown=$comment
	[ -n "$repository" ] || shown=$(printf '%s\n' "$shown" | sed 's/ repository=[^ ]*/ repository=/')
	[ -n "$tag" ] || shown=$(printf '%s\n' "$shown" | sed 's/ release=[^ ]*/ release=/')
	[ "$shown" = "llcuda repository=$repository release=$tag file=$FILE" ] ||
		die "$FILE is signed for something else ($comment): nothing was installed."
	say "the signature holds: $comment"
}

main() {
	[ $# -le 1 ] || die "usage: sh install.sh [TAG]"
	[ -n "${PREFIX:-${HOME:-}}" ] || die "neither PREFIX nor HOME is set: where should it go?"
	bin=${PREFIX:-$HOME/.local}/bin
	check_system
	tmp=$(mktemp -d)
	new=$bin/.llcuda-run.new.$$
	trap 'rm -rf "$tmp" "$new"' EXIT
	trap 'exit 130' INT TERM HUP
	locate "${LLCUDA_FROM:-github:$REPOSITORY}" "${1:-}"
	say "installing llcuda-run from $base into $bin"
	check_sum
	check_signature
	chmod 755 "$tmp/$FILE"
	[ -x "$tmp/$FILE" ] || die "no program may run in ${tmp%/*} (mounted noexec), so $FILE was not tried and nothing was installed: put TMPDIR=\"\$HOME\" before sh."
	version=$("$tmp/$FILE" --version) || die "$FILE does not run here: nothing was installed."
	mkdir -p "$bin"
	cp "$tmp/$FILE" "$new"
	mv -f "$new" "$bin/llcuda-run"
	say "installed $version"
	case :$PATH: in
	*:"$bin":*) ;;
	*) say "$bin is not on PATH: add it, or call $bin/llcuda-run." ;;
	esac
	say "next: llcuda-run doctor. To remove it: rm $bin/llcuda-run (bundles and models: llcuda-run rm)"
}

# The last line: a script that was cut off while it was fetched does nothing.
main "$@"

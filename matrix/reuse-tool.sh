# shellcheck shell=sh disable=SC2154 # real: of the line that reuse.sh puts before this
# Before cicc (preprocessed source to PTX, for one SM) and ptxas (PTX to a cubin):
# what was made once from the same bytes with the same arguments by the same program is
# taken from $LLCUDA_REUSE. ccache does this for whole calls of nvcc, where a list of
# SMs is one thing; this is for one SM of the list. Without the variable, and for
# a call that it does not know in every part, the real program runs.
[ -n "${LLCUDA_REUSE:-}" ] || exec "$real" "$@"
plain() { exec "$real" "$@"; }

in='' out='' stub='' id='' sides='' words='' next=''
for a; do
	case $next in
	-o) out=$a next='' && continue ;;
	--stub_file_name) stub=$a sides="$sides
$a" next='' && continue ;;
	--gen_c_file_name | --gen_device_file_name) sides="$sides
$a" next='' && continue ;;
	--module_id_file_name) id=$a next='' && continue ;;
	--include_file_name) next='' && continue ;; # a random name, for what is no longer read
	--orig_src_file_name | --orig_src_path_name) next='' ;;
	*)
		next=''
		case $a in
		-o | --stub_file_name | --gen_c_file_name | --gen_device_file_name | --module_id_file_name | --include_file_name | --orig_src_file_name | --orig_src_path_name) next=$a ;;
		-v | --verbose | --dump* | --gen_module_id_file | --generate-dependencies* | -g | --device-debug) plain "$@" ;;
		*.ii | *.ptx)
			[ -z "$in" ] || plain "$@"
			in=$a
			continue
			;;
		*/libdevice*.bc) a=libdevice ;; # in digest
		*/*) plain "$@" ;; # some file that is not known here
		esac
		;;
	esac
	words="$words
$a"
done
if [ -z "$in" ] || [ -z "$out" ] || [ ! -f "$in" ] || [ -n "$next" ]; then plain "$@"; fi
case $in in *.ii) [ -n "$stub" ] && [ -n "$id" ] || plain "$@" ;; esac

mkdir -p "$LLCUDA_REUSE" || plain "$@"
# nvcc's name for the source as a module, _4fe423c3_8_scale_cu_9b0aff9f, goes into the
# names of what is static. That of a source which exports nothing is good for once: it
# follows from the folder too, and ends in a process number. It is left out of the
# key, and what holds a part of it is not kept.
module='' once='' crc=''
[ -z "$id" ] || module=$(cat "$id") crc=${module%_*} crc=${crc##*_}
case ${#crc}${module##*_} in
8*[!0-9]* | 8) ;;
8*) once=$module module='' ;;
esac
key=$({ printf '2 %s\n%s\n%s\n' "$digest" "$words" "$module"; cat "$in"; } | sha256sum | cut -c 1-64)
shelf=$LLCUDA_REUSE/$(printf %s "$key" | cut -c 1-2)
entry=$shelf/$key
# note reused|made MILLISECONDS, those of the real program
note() { [ -z "${LLCUDA_REUSE_LOG:-}" ] || echo "$1 ${0##*/} $2" >>"$LLCUDA_REUSE_LOG"; }

# The host's code comes with a stub that cicc writes, once for all SMs: of the one whose
# stub cudafe++ has named, beside it. That one is never taken from here.
host=''
[ -z "$stub" ] || [ ! -e "${stub%.stub.c}.cpp" ] || host=1

if [ -z "$host" ] && [ -d "$entry" ]; then
	if gzip -dc "$entry/out" >"$out" 2>/dev/null && [ "$(sha256sum <"$out" | cut -c 1-64)" = "$(cat "$entry/sum" 2>/dev/null)" ]; then
		old=$IFS
		IFS='
'
		for side in $sides; do echo '#error "llcuda: reused device code has no stub"' >"$side"; done
		IFS=$old
		cat "$entry/err" >&2
		touch "$entry"
		note reused "$(cat "$entry/took" 2>/dev/null)"
		exit 0
	fi
	rm -rf "$entry" # damaged: as if it were not there
fi

new=$(mktemp -d "$LLCUDA_REUSE/new.XXXXXX") || plain "$@"
code=0 from=$(date +%s%N)
"$real" "$@" 2>"$new/err" || code=$?
took=$((($(date +%s%N) - from) / 1000000))
cat "$new/err" >&2
note made "$took"
# named is true where what was made holds a part of a name that is good for once.
named() {
	file=${once#_}
	[ -n "$once" ] && grep -qF -e "${file%%_*}" -e "$crc" "$out"
}
if [ "$code" = 0 ] && [ -f "$out" ] && [ ! -d "$entry" ] && ! named; then
	# No room, or another build was first: the cache is for speed alone.
	{ gzip -1 -nc "$out" >"$new/out" && sha256sum <"$out" | cut -c 1-64 >"$new/sum" && echo "$took" >"$new/took" &&
		mkdir -p "$shelf" && mv -T "$new" "$entry"; } 2>/dev/null || :
fi
rm -rf "$new"

# Once a day what was not used for two weeks goes, and what killed builds left.
swept=$LLCUDA_REUSE/swept
if [ -z "$(find "$swept" -mtime -1 2>/dev/null)" ]; then
	: >"$swept"
	find "$LLCUDA_REUSE" -mindepth 1 -maxdepth 2 -type d \( -path "$LLCUDA_REUSE/??/*" -mtime +14 -o -name 'new.*' -mtime +1 \) -prune -exec rm -rf {} + 2>/dev/null || :
fi
exit "$code"

# shellcheck shell=sh disable=SC2154,SC2086 # real, still: of the line that reuse.sh puts before this; still is words
# Before cudafe++ and cicc (preprocessed source to PTX, for one SM) and ptxas (PTX to a
# cubin), the programs of nvcc that decide what device code is made.
#
# nvcc's name for a source as a module, _4fe423c3_8_scale_cu_9b0aff9f, goes into the
# names of what is static, in the machine code too. That of a source which exports
# nothing (to nvcc 11.8 most do not) follows from the folder and ends in a process
# number: no two builds would make the same. So the program that is told to find a name
# is given one that follows from the source's own name and bytes. Modules that are
# linked with each other (-rdc=true) keep nvcc's: there two must not have one name.
#
# What cicc makes of large kernels follows from where its memory lies, too
# (docs/proof/reproducible.md): $still runs it where addresses are not random, and that of
# 12.4, which has jemalloc, is to give nothing back to the kernel while it runs: what it
# gives back, and so what it is given next, would follow from the clock. 6 % more memory.
export MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1
plain() { exec $still "$real" "$@"; }
find='' source='' id='' in='' out='' stub='' sides='' words='' known=1 next=''
for a; do
	what=$next next='' word=$a
	case $what in
	-o) out=$a word='' ;;
	--stub_file_name) stub=$a sides="$sides
$a" word='' ;;
	--gen_c_file_name | --gen_device_file_name) sides="$sides
$a" word='' ;;
	--module_id_file_name) id=$a word='' ;; # in the key by what it holds
	--include_file_name) word='' ;;         # a random name, for what is no longer read
	--orig_src_path_name) source=$a ;;
	--orig_src_file_name) ;;
	*)
		case $a in
		-o | --*_file_name | --*_path_name) next=$a ;;
		--device-c) plain "$@" ;;
		--gen_module_id_file) find=1 ;;
		-v | --verbose | --dump* | --generate-dependencies* | -g | --device-debug) known='' ;;
		*.ii | *.ptx)
			[ -z "$in" ] || known=''
			in=$a word=''
			;;
		*/libdevice*.bc) word=libdevice ;; # in digest
		*/*) known='' ;;                   # some file that is not known here
		esac
		;;
	esac
	words="$words
$word"
done
if [ -n "$find" ] && [ -n "$id" ] && [ -f "$source" ]; then
	name=$(printf %s "${source##*/}" | tr -c A-Za-z0-9 _)
	sum=$(sha256sum <"$source" | cut -c 1-16)
	printf %s "_${sum%????????}_${#name}_${name}_${sum#????????}" >"$id" || exit
	for a; do
		shift
		[ "$a" = --gen_module_id_file ] || set -- "$@" "$a"
	done
fi

# What was made once from the same bytes with the same arguments by the same program is
# taken from $LLCUDA_REUSE. ccache does this for whole calls of nvcc, where a list of
# SMs is one thing; this is for one SM of the list. Without the variable, and for
# a call that it does not know in every part, the real program runs. That which names
# the module is one of these: its stub is the host's.
if [ -z "${LLCUDA_REUSE:-}" ] || [ -n "$find" ] || [ -z "$known" ]; then plain "$@"; fi
if [ -z "$in" ] || [ -z "$out" ] || [ ! -f "$in" ] || [ -n "$next" ]; then plain "$@"; fi
case $in in *.ii) [ -n "$stub" ] && [ -n "$id" ] || plain "$@" ;; esac

mkdir -p "$LLCUDA_REUSE" || plain "$@"
key=$({ printf '5 %s\n%s\n' "$digest" "$words"; [ -z "$id" ] || cat "$id"; echo; cat "$in"; } | sha256sum | cut -c 1-64)
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
$still "$real" "$@" 2>"$new/err" || code=$?
took=$((($(date +%s%N) - from) / 1000000))
cat "$new/err" >&2
note made "$took"
if [ "$code" = 0 ] && [ -f "$out" ] && [ ! -d "$entry" ]; then
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

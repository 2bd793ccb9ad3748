# shellcheck shell=sh disable=SC2154 # real: of the line that reuse.sh puts before this
# Before the host compiler, as nvcc calls it. nvcc reads a source once for the host and
# once for each SM, and names all SMs of the call in __CUDA_ARCH_LIST__ each time:
# llcuda's cells differ in that list, so no SM's text would ever be that of another
# cell. Here an SM's own reading (-E with __CUDA_ARCH__) has itself in the list; the
# host's keeps all, which is what decides what runs where. For a cell with one SM it
# changes nothing: of a cell with more, each SM's machine code is the one-SM cell's.
# A source that makes names of the list (CUB and Thrust: THRUST_300001_SM_750_860_NS) is
# read as nvcc wants it, or host and SM would know a thing by two names.
arch='' list='' out='' reads='' next=''
for a; do
	case $next in -o) out=$a ;; esac
	next=$a
	case $a in
	-D__CUDA_ARCH__=*) arch=${a#*=} ;;
	-D__CUDA_ARCH_LIST__=*) list=${a#*=} ;;
	-E) reads=1 ;;
	esac
done
if [ -z "$arch" ] || [ -z "$reads" ] || [ -z "$out" ] || [ "$list" = "$arch" ]; then exec "$real" "$@"; fi
"$real" "$@" || exit
names=$(printf %s "$list" | tr , _)
! grep -qF "$names" "$out" || exit 0
for a; do
	shift
	case $a in -D__CUDA_ARCH_LIST__=*) a=-D__CUDA_ARCH_LIST__=$arch ;; esac
	set -- "$@" "$a"
done
exec "$real" "$@" 2>/dev/null # the first reading has said it

# shellcheck shell=sh
# reuse TOOL HOST LOG [HOSTCXX]
# Makes nvcc compile for one SM in a way that the next cell with that SM can reuse, and
# any build makes again. TOOL and HOST are the texts of reuse-tool.sh and reuse-host.sh.
# The programs that decide what nvcc's device code is, cudafe++, cicc and ptxas, get
# TOOL before them; the host compiler gets HOST, at /llcuda/bin under its own name, which
# is what to give to nvcc. Both texts lie in /llcuda/reuse.txt, for ccache, and whether
# addresses are random, which /llcuda/addresses.txt has alone: what nvcc made otherwise is
# not what it makes now. A toolkit that is not laid out as NVIDIA's is left as it is, and
# says so.
tool=$1 host=$2 log=$3 hostcxx=${4:-}
mkdir -p /llcuda/bin
: >"$log"

# cicc 11.8 and 12.4 make other code of one source from run to run, unless their memory
# lies where it lay before. Containers of our own engine (engine/inner.sh) see to that, and
# so does a machine whose kernel has it switched off for all; Docker's seccomp profile
# forbids a container to do so itself.
still="setarch $(uname -m) -R" addresses=fixed
case $(cat /proc/self/personality 2>/dev/null || :) in
*4????) still= ;; # ADDR_NO_RANDOMIZE, 0x0040000, is on
esac
[ "$(cat /proc/sys/kernel/randomize_va_space 2>/dev/null || :)" != 0 ] || still=
if ! $still true 2>/dev/null; then still='' addresses=random; fi
echo "$addresses" >/llcuda/addresses.txt
printf '%s\n' "$tool" "$host" "$addresses" >/llcuda/reuse.txt
if [ -n "$hostcxx" ]; then
	real=$(command -v "$hostcxx")
	{
		printf '#!/bin/sh\nreal=%s\n' "'$real'"
		printf '%s\n' "$host"
	} >"/llcuda/bin/${hostcxx##*/}"
	chmod 755 "/llcuda/bin/${hostcxx##*/}"
fi

# Where nvcc itself looks, in its order.
scratch=$(mktemp -d)
: >"$scratch/x.cu"
path=$(cd "$scratch" && nvcc --dryrun ${hostcxx:+-ccbin "$hostcxx"} -c x.cu 2>&1 | sed -n 's/^#\$ PATH=//p' | head -n 1)
rm -r "$scratch"
for name in cudafe++ cicc ptxas; do
	file=$(PATH=$path:$PATH; command -v "$name") || { echo "reuse: nvcc has no $name: nothing is reused" >&2; continue; }
	file=$(readlink -f "$file")
	real=$file.llcuda-real
	[ ! -e "$real" ] || continue
	# What cicc makes follows from libdevice as well, which lies beside its folder.
	digest=$({ cat "$file"; cat "${file%/bin/*}"/libdevice/*.bc 2>/dev/null || :; echo "$addresses"; } | sha256sum | cut -c 1-64)
	mv "$file" "$real"
	{
		printf '#!/bin/sh\nreal=%s digest=%s still=%s\n' "'$real'" "$digest" "'$still'"
		printf '%s\n' "$tool"
	} >"$file"
	chmod 755 "$file"
done

# shellcheck shell=sh
# notices check | notices copy DIR [lenient]
# NVIDIA's licence texts belong into what is made of its toolkit, and are not ours
# to keep: they are taken from where the toolkit came from. check fails where there
# are none; copy puts each once into DIR, as NVIDIA.NAME.
mode=$1 dir=${2:-} lenient=${3:-}

# there FILE… prints those that exist.
there() {
	for f in "$@"; do [ ! -f "$f" ] || echo "$f"; done
}
texts() {
	nvcc=$(command -v nvcc || :)
	# The name on PATH may be a link into the toolkit.
	if [ -n "$nvcc" ] && command -v readlink >/dev/null 2>&1; then nvcc=$(readlink -f "$nvcc"); fi
	top=${nvcc%/bin/nvcc}
	case $top in
	'' | /usr) ;;
	*) there "$top"/licences/* "$top"/EULA* "$top"/LICENSE* "$top"/doc/EULA* ;; # licences: the stand-ins of engine/
	esac
	# What the toolkit's packages call their licence: NVIDIA's for dnf, NVIDIA's for apt, Debian's.
	if command -v rpm >/dev/null 2>&1; then
		rpm -qa 'cuda-cudart*' 'cuda-nvcc*' 'cuda-cccl*' 'libcublas*' | sort | while read -r package; do
			rpm -q --licensefiles "$package" | sed -n '/^\//p'
		done
	fi
	there /usr/share/doc/cuda-cudart-*/copyright /usr/share/doc/libcublas-*/copyright /usr/share/doc/cuda-cccl-*/copyright
	for package in nvidia-cuda-toolkit nvidia-cuda-dev libcub-dev libthrust-dev libcu++-dev; do
		there "/usr/share/doc/$package/copyright"
	done
	there /NGC-DL-CONTAINER-LICENSE
}

list=$(texts)
if [ -z "$list" ]; then
	echo "notices: no text of NVIDIA's licence lies beside this toolkit, in its packages or in the image" >&2
	[ -n "$lenient" ]
	exit
fi
[ "$mode" = copy ] || exit 0
umask 022
while read -r file; do
	for have in "$dir"/NVIDIA.*; do
		if [ -f "$have" ] && cmp -s "$have" "$file"; then continue 2; fi
	done
	folder=${file%/*}
	case $file in
	/usr/share/*) name=NVIDIA.${folder##*/}.${file##*/} ;;
	*) name=NVIDIA.${file##*/} ;;
	esac
	[ ! -e "$dir/$name" ] || { echo "notices: two texts want the name $name" >&2; exit 1; }
	cp "$file" "$dir/$name"
	chmod 644 "$dir/$name"
done <<EOF
$list
EOF

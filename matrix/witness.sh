# shellcheck shell=sh
# witness OUT FILE
# Asks cuobjdump, the second witness, what every file of OUT holds, and writes
# its answers to FILE for package verify to read: first its version and "-all",
# with which it is asked, as it hides things else; then for each question a line
# "@ STATUS OPTION NAME" with what it printed below it, each line led by "1 "
# (stdout) or "2 " (stderr). Without a cuobjdump the first line is "absent".
out=$1 file=$2
dir=${file%/*}
mkdir -p "$dir"
if ! command -v cuobjdump >/dev/null 2>&1; then
	echo absent >"$file"
	exit 0
fi
printf 'cuobjdump %s -all\n' "$(cuobjdump --version | sed -n 's/.*release .*, V\([0-9.]*\).*/\1/p')" >"$file"
cd "$out" || exit
for name in *; do
	[ -f "$name" ] && [ ! -L "$name" ] || continue
	case $name in *.json) continue ;; esac
	for option in --list-elf --list-ptx; do
		status=0
		cuobjdump "$option" -all "$name" >"$dir/witness.out" 2>"$dir/witness.err" || status=$?
		{
			printf '@ %s %s %s\n' "$status" "$option" "$name"
			sed 's/^/1 /' "$dir/witness.out"
			sed 's/^/2 /' "$dir/witness.err"
		} >>"$file"
	done
done
rm -f "$dir/witness.out" "$dir/witness.err"

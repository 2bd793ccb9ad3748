# shellcheck shell=sh
# tools NAME…
# Fails, naming each, where a tool that the build calls is not there.
missing=
for tool in "$@"; do
	command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
[ -z "$missing" ] || {
	echo "tools: this image lacks:$missing" >&2
	exit 1
}

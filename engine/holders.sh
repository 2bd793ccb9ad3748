# shellcheck shell=bash
# holders.sh: who uses the running engine. Sourced, under the engine's lock.
# One file per holder in run/holders, named by its id: line 1 the checkout,
# line 2 a pid or nothing. A holder whose checkout or pid is gone holds nothing.

hold() {
  mkdir -p "$RUN/holders"
  printf '%s\n%s\n' "$CHECKOUT" "${LLCUDA_ENGINE_HOLDER_PID:-}" > "$RUN/holders/$HOLDER"
}

release() { rm -f "$RUN/holders/$HOLDER"; }

# others: the live holders but ourselves, "ID (CHECKOUT)" a line; stale files are removed.
others() {
  local f dir pid
  for f in "$RUN"/holders/*; do
    [ -f "$f" ] || continue
    [ "${f##*/}" != "$HOLDER" ] || continue
    { read -r dir; read -r pid; } < "$f" || true
    if [ ! -d "$dir" ] || { [ -n "$pid" ] && [ ! -d "/proc/$pid" ]; }; then rm -f "$f"; continue; fi
    echo "$(basename "$f") ($dir)"
  done
}

#!/bin/bash
# run.sh [-w WORK] [-o OUT] SECTION...: the proof on this machine's NVIDIA GPU. It
# lies in the folder tree that `make proof-gpu` made, beside what it uses, and needs
# neither Go nor containers nor a network.
#
#   oracle     some 400 small programs: what `llcuda-run why` predicts of each
#              against what the driver does (more with nvcc 13.0 on PATH)
#   main       real llama.cpp, built here, verified, published to a folder, served
#              (needs llama.bundle, nvcc, cmake, ninja; first-gpu-run.sh)
#   speed      tokens per second of what main built beside a native build of the
#              same tree; machine code beside PTX compiled at the first start; from
#              nothing to the first token; what serve adds (needs main's bundle)
#
#   -w WORK    scratch folder; kept, so that sections may be run one by one (default: work in the tree)
#   -o OUT     where results go: text and JSON, some 100 kB a section (default: out in the tree)
#
# A section is a function section_NAME below; what it finds out goes into
# $out/NAME.txt. Each ends with a line "=== NAME: as expected" or with what was not.
# shellcheck disable=SC2016 # sh -c expands
set -euo pipefail
here=$(realpath "$(dirname "$0")/../..") bin=$here/bin work= out= missed=

say() { printf '\n=== %s\n' "$*"; }
since() { awk "BEGIN{printf \"%.2f\", $EPOCHREALTIME-$1}"; }
wrong() { echo "!!! $*"; missed="$missed; $*"; }

step() { # step NAME EXIT COMMAND...: runs it, says how it ended and how long it took
  local name=$1 want=$2 code=0 from=$EPOCHREALTIME
  shift 2
  say "$name: $*"
  "$@" || code=$?
  echo "=== $name: exit $code after $(since "$from") s"
  [ "$code" = "$want" ] || wrong "$name ended with $code, not $want"
}

section_machine() {
  date -u +%Y-%m-%dT%H:%M:%SZ
  echo "commit $(cat "$here/commit")"
  uname -r
  sh -c '. /etc/os-release; echo "$PRETTY_NAME"'
  nproc
  ldd --version | head -1
  nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv
  nvcc --version 2> /dev/null | tail -2 || echo "no nvcc"
}

section_oracle() {
  local programs=$work/programs nvcc version
  if [ ! -d "$programs/12.4" ]; then
    mkdir -p "$programs"
    tar -C "$programs" -xJf "$here/programs.tar.xz"
  fi
  if nvcc=$(command -v nvcc); then
    nvcc=$(realpath "$nvcc")
    version=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
    if [ "$version" = 13.0 ]; then
      step make-13.0 0 "$bin/oracle" make -out "$programs" -nvcc "13.0=$nvcc"
    else
      echo "nvcc $version: the table has no programs for it, those of 11.8 and 12.4 are run"
    fi
  else
    echo "no nvcc here: the programs of 11.8 and 12.4 are run"
  fi
  step oracle-run 0 "$bin/oracle" run -llcuda-run "$bin/llcuda-run" -out "$out" -commit "$(cat "$here/commit")" "$programs"/[0-9]*
}

section_main() {
  [ -f "$here/llama.bundle" ] || { wrong "no llama.bundle: make proof-gpu SOURCE=1"; return; }
  rm -rf "$work/main"
  step main 0 "$here/docs/proof/first-gpu-run.sh" "$bin" "$here/llama.bundle" "$work/main"
}

main() {
  local o s one=
  while getopts w:o:1: o; do
    case $o in w) work=$OPTARG ;; o) out=$OPTARG ;; 1) one=$OPTARG ;; *) exit 2 ;; esac
  done
  if [ -n "$one" ]; then # run.sh's own call
    "section_$one"
    if [ -n "$missed" ]; then echo "=== $one: not as expected: ${missed#; }"; else echo "=== $one: as expected"; fi
    [ -z "$missed" ]
    return
  fi
  shift $((OPTIND - 1))
  [ $# -gt 0 ] || { sed -n '2,/^# shellcheck/{s/^# \{0,1\}//;/^shellcheck/d;p}' "$0"; exit 2; }
  for s; do declare -F "section_$s" > /dev/null || { echo "run.sh has no section $s" >&2; exit 2; }; done
  work=${work:-$here/work} out=${out:-$here/out}
  mkdir -p "$work" "$out"
  work=$(realpath "$work") out=$(realpath "$out")
  local failed=0
  for s in machine "$@"; do
    # Each in a process of its own: one that breaks off does not end the others.
    "$0" -w "$work" -o "$out" -1 "$s" 2>&1 | tee "$out/$s.txt" || failed=1
  done
  return "$failed"
}

main "$@"; exit

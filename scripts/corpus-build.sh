#!/bin/bash
# corpus-build.sh CORPUS: with nvcc 11.8 and 12.4 many small files that hold
# device code in every way the compiler knows, into CORPUS/built/VERSION. Each
# file is made once; a changed recipe makes it anew.
. "$(dirname "$0")/env.sh"
corpus=$1 sources=$ROOT/scripts/corpus failed=0
need g++-11 g++-11

few="-gencode arch=compute_75,code=sm_75"
many="-gencode arch=compute_50,code=sm_50 -gencode arch=compute_61,code=sm_61 -gencode arch=compute_70,code=sm_70 -gencode arch=compute_75,code=sm_75 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_86,code=sm_86 -gencode arch=compute_89,code=sm_89 -gencode arch=compute_90,code=sm_90"
ptx="-gencode arch=compute_75,code=compute_75"
ptxs="-gencode arch=compute_50,code=compute_50 -gencode arch=compute_70,code=compute_70 -gencode arch=compute_80,code=compute_80 -gencode arch=compute_90,code=compute_90"
both="-gencode arch=compute_80,code=[sm_80,compute_80]"
# llama.cpp's own list, as its CMake asks for it.
llama="-gencode arch=compute_50,code=compute_50 -gencode arch=compute_61,code=compute_61 -gencode arch=compute_70,code=compute_70 -gencode arch=compute_75,code=compute_75 -gencode arch=compute_80,code=compute_80 -gencode arch=compute_86,code=sm_86 -gencode arch=compute_89,code=sm_89"
older="-gencode arch=compute_52,code=[sm_52,sm_53,compute_52] -gencode arch=compute_62,code=sm_62 -gencode arch=compute_72,code=sm_72 -gencode arch=compute_87,code=sm_87"
shared="-shared -Xcompiler -fPIC -cudart shared"
packed="-Xfatbin -compress-all"

# NAME | sources | flags: the files of one toolkit. NAME's ending says of which
# kind it is; "12.4" in front of a line: only that toolkit can.
recipes() {
  cat << LIST
sass-one.so         | a.cu b.cu          | $few $shared
sass-one.o          | a.cu               | $few -c
sass-one            | main.cu a.cu       | $few
sass-many.so        | a.cu b.cu v.cu     | $many $shared
sass-many.a         | a.cu b.cu v.cu n.cu | $many -lib
sass-many-packed.so | a.cu b.cu          | $many $shared $packed
sass-many-plain.so  | a.cu b.cu          | $many $shared -Xfatbin -compress=false
ptx-one.so          | a.cu b.cu          | $ptx $shared
ptx-one.o           | a.cu               | $ptx -c
ptx-one-packed.so   | a.cu b.cu          | $ptx $shared $packed
ptx-one-plain.so    | a.cu b.cu          | $ptx $shared -Xfatbin -compress=false
ptx-many            | main.cu a.cu b.cu  | $ptxs
ptx-many.a          | a.cu b.cu          | $ptxs -lib
both-one.so         | a.cu b.cu          | $both $shared
both-one.o          | b.cu               | $both -c
both-packed         | main.cu a.cu b.cu  | $both $packed
llama.so            | a.cu b.cu          | $llama $shared
llama-packed.so     | a.cu b.cu          | $llama $shared $packed
older.so            | a.cu b.cu          | $older $shared
variables.so        | v.cu               | $both $shared
variables-ptx.o     | v.cu               | $ptx -c
nothing.so          | n.cu               | $few $shared
nothing-ptx.so      | n.cu               | $ptx $shared
nothing.o           | n.cu               | $few -c
rdc.o               | r1.cu              | $both -rdc=true -c
rdc.so              | r1.cu r2.cu        | $both -rdc=true $shared
rdc                 | main.cu r1.cu r2.cu | $few -rdc=true
rdc-many.so         | r1.cu r2.cu a.cu b.cu | $many -rdc=true $shared
rdc-packed.so       | r1.cu r2.cu        | $both -rdc=true $shared $packed
rdc-ptx.so          | r1.cu r2.cu        | $ptx -rdc=true $shared
rdc.a               | r1.cu r2.cu        | $both -rdc=true -lib
rdc-linked.o        | r1.cu r2.cu        | $few -dlink-of
one.cubin           | a.cu               | -arch=sm_75 -cubin
one.fatbin          | a.cu               | $both -fatbin
many.fatbin         | a.cu               | $many -fatbin
many-packed.fatbin  | a.cu               | $many -fatbin $packed
debug.so            | a.cu b.cu          | $both -G $shared
lineinfo.so         | a.cu b.cu          | $both -lineinfo $shared
disagree.so         | a.cu:75 b.cu:86    | $shared
disagree-ptx.so     | a.cu:ptx b.cu:86   | $shared
disagree.a          | a.cu:75 b.cu:86 v.cu:ptx | -lib
algorithm-zlib.fatbin  | a.cu            | -algorithm 1
algorithm-lz4f.fatbin  | a.cu            | -algorithm 3
12.4 algorithm-zstd.fatbin | a.cu        | -algorithm 5
12.4 sm90a.so       | a.cu b.cu          | -gencode arch=compute_90a,code=[sm_90a,compute_90a] $shared
12.4 sm90a-and-90.so | a.cu b.cu         | -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_90,code=[sm_90,compute_90] $shared
12.4 sm90a.o        | a.cu               | -gencode arch=compute_90a,code=[sm_90a,compute_90a] -c
12.4 sm90a.cubin    | a.cu               | -arch=sm_90a -cubin
12.4 sm90a.fatbin   | a.cu               | -gencode arch=compute_90a,code=[sm_90a,compute_90a] -fatbin
12.4 sm90a-packed.so | a.cu b.cu         | -gencode arch=compute_90a,code=[sm_90a,compute_90a] $shared $packed
12.4 sm90a-rdc.so   | r1.cu r2.cu        | -gencode arch=compute_90a,code=[sm_90a,compute_90a] -rdc=true $shared
LIST
}

# compile NVCC OUT SOURCES FLAGS, in a scratch folder.
compile() {
  local bin=${1%/*} out=$2 objects=() s arch
  local nvcc=("$1" -ccbin g++-11 -Wno-deprecated-gpu-targets)
  local -a list flags
  read -ra list <<< "$3"
  read -ra flags <<< "$4"
  case " $4 " in
  *" -dlink-of "*) # relocatable objects, then the device linker's own object
    "${nvcc[@]}" "${flags[@]/-dlink-of/-rdc=true}" -dc "${list[@]/#/$sources/}"
    "${nvcc[@]}" "${flags[@]/-dlink-of/-dlink}" ./*.o -o "$out" ;;
  *" -algorithm "*) # nvcc hides how fatbinary compresses
    "${nvcc[@]}" -arch=sm_80 -cubin "$sources/$3" -o a.cubin
    "${nvcc[@]}" -arch=compute_80 -ptx "$sources/$3" -o a.ptx
    "$bin/fatbinary" -64 --create="$out" --image3=kind=elf,sm=80,file=a.cubin --image3=kind=ptx,sm=80,file=a.ptx \
      -compress-all --compress-algorithm="${4##* }" ;;
  *)
    if [[ $3 != *:* ]]; then "${nvcc[@]}" "${flags[@]}" "${list[@]/#/$sources/}" -o "$out"; return; fi
    for s in "${list[@]}"; do # each unit for something else
      arch=${s#*:} s=${s%:*}
      case $arch in ptx) arch="arch=compute_70,code=compute_70" ;; *) arch="arch=compute_$arch,code=sm_$arch" ;; esac
      "${nvcc[@]}" -gencode "$arch" -Xcompiler -fPIC -c "$sources/$s" -o "$s.o"
      objects+=("$s.o")
    done
    "${nvcc[@]}" "${flags[@]}" "${objects[@]}" -o "$out" ;;
  esac
}

# make_one VERSION NAME SOURCES FLAGS
make_one() {
  local dir=$corpus/built/$1 work
  [ ! -e "$dir/$2" ] || [ "$(cat "$dir/.$2.key" 2> /dev/null)" != "$3 $4" ] || return 0
  work=$(mktemp -d "$corpus/.build-XXXXXX")
  if (cd "$work" && TMPDIR=$work compile "$corpus/cuda-$1/bin/nvcc" "$work/$2.new" "$3" "$4") > "$work/log" 2>&1; then
    mv "$work/$2.new" "$dir/$2"
    echo "$3 $4" > "$dir/.$2.key"
    rm -rf "$work"
  else
    printf 'corpus: nvcc %s could not make %s: %s (log: %s)\n' "$1" "$2" "$(grep -m1 -iE 'error|fatal' "$work/log" || tail -n 1 "$work/log")" "$work/log" >&2
    return 1
  fi
}

rm -rf "$corpus"/.build-*
for version in 11.8 12.4; do
  [ -x "$corpus/cuda-$version/bin/nvcc" ] || continue
  mkdir -p "$corpus/built/$version"
  say "building with nvcc $version"
  while IFS='|' read -r name list flags; do
    read -r name only <<< "$name"
    if [ -n "$only" ]; then [ "$name" = "$version" ] || continue; name=$only; fi
    make_one "$version" "$name" "$(xargs <<< "$list")" "$(xargs <<< "$flags")" || failed=1
  done < <(recipes)
done
exit "$failed"

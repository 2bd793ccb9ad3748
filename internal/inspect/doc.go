// Package inspect turns finished files into facts: which GPUs the device code
// in them can run on and what the host must bring for the rest. It reads ELF
// libraries, executables and objects, static archives, bare fat binaries,
// cubins and PTX, in pure Go: no CUDA toolkit, no child process.
//
// # What is promised
//
// Facts come from the bytes of the file and nothing else. For every
// fat-binary container that a wrapper in .nvFatBinSegment points to (a unit:
// one translation unit of the program) the images are listed with their SM,
// PTX ISA and compression, identical units are grouped, and units that define
// no kernel and no device variable are marked empty. Containers that are only
// the device linker's stub, and the inputs of relocatable device code, are
// kept apart, since neither says where the program runs.
//
// What is not understood is listed under Device.Unknown and never guessed: an
// entry flag without a known meaning, an entry kind the driver has and we
// cannot read, a cubin whose own header contradicts its entry.
//
// The PTX ISA is the text's .version, because that is what the driver obeys;
// where the text has none it is the entry header's. The toolkit is the one
// that the cubins name. A stored cubin, and a compressed one of CUDA 12 and
// older, says so in its first bytes and all of them are read; a compressed one
// of CUDA 13 is asked only while no other cubin of that SM has told.
//
// A floor names the symbol that forces it. Who brings each library in NEEDED is
// facts.NeedsOf's answer over the files around: those of the folder for Dir, for
// File those in its own folder and where its RUNPATH leads.
//
// # What is asked for
//
// Kernels lists the kernels of every unit's images by name and compares them
// between targets. It reads every image to its end: 374 MB of llama.cpp's PTX and
// machine code take some seconds, and no more memory than without.
//
// CPU decodes all code for x86-64 and counts instructions by extension: 3.0
// million of libggml-cuda.so in 0.1 s, 17 million of cuBLASLt 11.8 in 0.4 s of CPU time.
// Functions are found by the unwind table, which survives strip, and by symbols;
// what lies between is decoded too. objdump is the second witness of the decoder
// (scripts/corpus-x86.sh). Which instructions a file's place allows is
// BeyondBaseline's rule.
//
// # Whom it trusts
//
// Nobody: every file is taken to be hostile. Offsets and sizes are checked
// against the file before they are used, counts are bounded, payloads are read
// by their headers and a prefix. A damaged file gives a *FormatError that
// names the offset, never a panic. No claim in a header decides alone how much is
// allocated: it is held against the file's size first, and what a compressed
// payload becomes is bounded (maxPayload).
//
// It is fast enough to ask at every start: 374 MB of llama.cpp for CUDA take
// some 0.1 s and 20 MB of memory. The exception are libraries of compressed
// cubins without PTX: to tell an empty unit from others some are decompressed
// whole (cuBLASLt 11.8, 575 MB: 2 s).
//
// # What it does not do
//
// It holds nothing against a promise: floors are computed by package compat,
// promises by package verify. Problems says what is wrong with a file whoever made
// it. It does not yet tell NVIDIA's units from
// others by their content: all units of a file belong to NVIDIA where its
// SONAME is one of NVIDIA's redistributable libraries, and are the program's own
// otherwise, also where cuBLAS was linked in statically.
//
// It looks for leaked build paths in host data and debug strings, not inside
// device images, and only for the roots listed at buildRoots; for names of people
// among those paths and in what looks like a compiler's USER@HOST. The version of an
// NVIDIA library is its name's or its version function's; libcublas has neither
// inside.
package inspect

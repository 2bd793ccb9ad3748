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
// allocated: it is held against the file's size first. A compressed payload is
// streamed, never held, and all payloads of a file together become at most 64 MB
// and 16 times its size; sections may not overlap, and what wrappers lead to is
// counted. Beside the window of zstd (64 MB at most, where a payload asks for it)
// a file takes less than 64 MB whatever its size: cuBLASLt 11.8, 575 MB, some 27.
//
// It is fast enough to ask at every start. Of 374 MB of llama.cpp for CUDA it reads
// some 2 MB beside the constant data, and decodes the first hundred bytes of each
// image. Only NVIDIA's images are read whole, once, to be hashed.
//
// # NVIDIA's units
//
// Units of cuBLAS are told from others by content, in its own library or linked
// into another, whole or pruned: see nvtable for what is compared, and gen/make.sh
// for what the table was made of. A unit is NVIDIA's where all its images are in the
// table, mixed where some are. What is in no table and is called as one of NVIDIA's
// libraries is believed where it also defines the version node of its SONAME and no
// unit was pruned to nothing, and is of unknown owner otherwise. The digest beside an
// image of NVIDIA's lets compat compare what a driver would choose in two files.
//
// # What it does not do
//
// It holds nothing against a promise: floors are computed by package compat,
// promises by package verify. Problems says what is wrong with a file whoever made
// it.
//
// It looks for leaked build paths in host data and debug strings, not inside
// device images, and only for the roots listed at buildRoots; for names of people
// among those paths and in what looks like a compiler's USER@HOST. The version of an
// NVIDIA library is its name's or its version function's; libcublas has neither
// inside.
package inspect

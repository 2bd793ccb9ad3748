// Command oracle makes small CUDA programs of every kind and holds what
// `llcuda-run why FILE` predicts for each against what a GPU's driver does with it.
//
//	oracle make -out DIR -nvcc 12.4=/usr/local/cuda-12.4/bin/nvcc [-nvcc …] [-ccbin g++-11] [-j N] [-only TEXT]
//	oracle run -llcuda-run FILE -out DIR [-commit C] [-date D] [-j N] PROGRAMS…
//	oracle rejudge [-in docs/proof] -commit C PROGRAMS…
//	oracle patch FILE PATCHES
//
// make compiles the table in cases.go with each toolkit into DIR/VERSION, with a
// list of what was made and how (cases.json). What nvcc cannot make is made by it
// and then changed in the finished file (patch.go): a higher .version in a PTX text,
// an entry header that contradicts its payload.
//
// run asks llcuda-run for its verdict on each program on this host, then starts the
// program three times: plainly; with the driver's compiler for PTX switched off, which
// tells machine code from compiled PTX; and with machine code passed over. It writes
// oracle.json, oracle-facts.json (the facts of each file, for the replay in
// internal/compat) and oracle.txt, and fails where prediction and driver differ.
// rejudge holds what a GPU answered once against today's rules, without a GPU.
//
// patch changes any finished file so, for the parts of the proof that need a broken one.
package main

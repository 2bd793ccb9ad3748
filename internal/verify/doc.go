// Package verify holds what inspect found in a finished folder against what
// the cell promised, and names every difference.
//
// It is pure: a plan and a report in, a list of misses out, empty where the
// promise is kept. Each miss names the file, the SM where one is concerned, what
// is there instead, and what to change. It trusts the report, and the plan only
// for what was promised: what a build asked of the compiler is no evidence.
//
// Machine code is demanded in every unit that is the program's own and defines a
// kernel or a device variable, because one unit without an image that fits is
// enough to fail at its kernels. Units of NVIDIA's libraries are not judged here
// (cuBLAS dispatches by device: most of its units serve one family), nor are
// device-link stubs.
//
// Cuobjdump is the second witness: NVIDIA's own tool, run by whoever can, its
// listing compared with ours after the differences that are known.
//
// The processor is judged by the instructions of the code, where the report has
// them (inspect.CPU): every file has to run on any x86-64, llama.cpp's variants
// may use what their name stands for, and a file that chooses at run time may hold
// more. What counts as choosing is inspect.BeyondBaseline's; NVIDIA's libraries
// are not judged.
//
// Drivers holds the files against the drivers that the matrix promises: see there
// for what is asked of machine code and of PTX.
//
// Not checked yet: that NVIDIA's libraries are the ones a part's record names.
package verify

// Package host turns a machine into facts: its driver's two halves, its GPUs,
// its C libraries, its CPU, and the CUDA libraries that lie about on it.
//
// It never invents: what could not be read is absent and named in
// Host.Unknown with the reason, and what was read names its source in
// Host.Sources. It asks NVML first, then libcuda, then nvidia-smi, then the files
// under /proc and /sys.
//
// Driver libraries crash and hang, and a crash in C code cannot be recovered
// from. So no driver library is ever loaded into the calling process: each is
// asked by a short-lived child (the program itself, run again, see Probe) with
// a time limit, and the child's last words become the reason.
//
// It decides nothing about bundles, changes nothing on the machine, and creates
// no CUDA context. Everything is read under Options.Root with the environment
// of Options.Env, so that a whole machine can be a folder in a test.
package host

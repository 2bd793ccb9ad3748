//go:build !(linux && amd64)

// Command llcuda-run, built for a machine that no bundle is for, says in one line
// what to do there.
package main

import (
	"fmt"
	"os"
	"runtime"
)

// noBundle is the exit code for a host that no bundle fits.
const noBundle = 3

func main() {
	cure := "build llama.cpp from source (https://github.com/ggml-org/llama.cpp/blob/master/docs/build.md)"
	if runtime.GOOS == "windows" {
		cure = "run it in WSL2, which uses Windows' own NVIDIA driver (wsl --install)"
	}
	fmt.Fprintf(os.Stderr, "llcuda-run: error: this is %s/%s, and bundles are for Linux on x86-64 with glibc: %s\n", runtime.GOOS, runtime.GOARCH, cure)
	os.Exit(noBundle)
}

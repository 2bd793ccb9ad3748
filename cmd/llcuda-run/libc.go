//go:build linux && amd64

package main

import (
	"errors"
	"io/fs"

	"github.com/waqasm86/llcuda/internal/cli"
)

// needsGlibc refuses a system whose C library is musl (Alpine) before anything
// fails oddly: llama-server's loader is glibc's, and where that is not there the
// kernel says of a program that is there "no such file or directory". Only a
// static build of llcuda-run (CGO_ENABLED=0) comes so far on such a system.
func needsGlibc(root fs.FS) error {
	if _, err := fs.Stat(root, "lib64/ld-linux-x86-64.so.2"); err == nil {
		return nil
	}
	if musl, err := fs.Glob(root, "lib/ld-musl-*.so.1"); err != nil || len(musl) == 0 {
		return nil // neither: another layout, and bundles are judged as always
	}
	return &cli.Error{Code: cli.ExitNoBundle,
		Err:  errors.New("this system's C library is musl, and bundles are for glibc"),
		Cure: "run it in a container of Debian or Ubuntu, or build llama.cpp from source (https://github.com/ggml-org/llama.cpp/blob/master/docs/build.md)"}
}

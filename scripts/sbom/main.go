// Command sbom holds bills of materials against SPDX 2.3: sbom FILE…
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/waqasm86/llcuda/internal/sbom"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(files []string, stdout, stderr io.Writer) int {
	if len(files) == 0 {
		fmt.Fprintln(stderr, "usage: sbom FILE...")
		return 2
	}
	code := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err == nil {
			err = sbom.Check(data)
		}
		if err != nil {
			fmt.Fprintf(stderr, "sbom: error: %s: %v\n", name, err)
			code = 1
			continue
		}
		fmt.Fprintf(stdout, "%s: SPDX 2.3\n", name)
	}
	return code
}

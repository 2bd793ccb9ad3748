// Command gen turns data/cuda.yaml into the JSON that package compat embeds:
// go generate ./internal/compat
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/waqasm86/llcuda/internal/compat"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr)) //nolint:forbidigo // a main
}

func run(args []string, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: gen IN.yaml OUT.json")
		return 2
	}
	if err := convert(args[0], args[1]); err != nil {
		fmt.Fprintln(stderr, "gen: error:", err)
		return 1
	}
	return 0
}

func convert(in, out string) error {
	data, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var f compat.Facts
	if err := dec.Decode(&f); err != nil {
		return fmt.Errorf("reading %q: %w", in, err)
	}
	j, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(j, '\n'), 0o644)
}

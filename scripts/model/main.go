// Command model writes a random model of the llama architecture in any size: what
// speed is measured with where no real model may be had. Its shape is real, its
// words mean nothing.
//
//	model [-layers 16] [-embd 2048] [-ff 8192] [-heads 32] [-context 4096] [-type Q4_K] FILE
//
// The sizes that stand here are a 1B model's: 1.07 billion weights, 600 MB as Q4_K.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/waqasm86/llcuda/internal/gguf"
)

var types = map[string]gguf.TensorType{"F32": gguf.F32, "F16": gguf.F16, "Q8_0": gguf.Q8_0, "Q4_K": gguf.Q4_K, "Q6_K": gguf.Q6_K}

func main() {
	o := gguf.TinyOptions{Seed: 42}
	flag.StringVar(&o.Name, "name", "random-1b", "the model's name")
	flag.IntVar(&o.Layers, "layers", 16, "blocks")
	flag.IntVar(&o.Embd, "embd", 2048, "embedding length")
	flag.IntVar(&o.FF, "ff", 8192, "feed-forward length")
	flag.IntVar(&o.Heads, "heads", 32, "attention heads")
	flag.IntVar(&o.Context, "context", 4096, "trained context in tokens")
	kind := flag.String("type", "Q4_K", "type of the matrices")
	flag.Parse()
	if err := write(flag.Arg(0), o, *kind); err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

func write(file string, o gguf.TinyOptions, kind string) (err error) {
	t, ok := types[kind]
	if !ok || file == "" {
		return errors.New("usage: model [flags] FILE, with -type F32, F16, Q8_0, Q4_K or Q6_K")
	}
	o.Type = t
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return gguf.Tiny(f, o)
}

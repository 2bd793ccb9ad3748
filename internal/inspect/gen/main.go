// Command gen makes the table of NVIDIA's images that package inspect embeds,
// out of static libraries of CUDA. make.sh brings those and calls it.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/waqasm86/llcuda/internal/inspect"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	out := flag.String("o", "nvidia.tab", "the table to write")
	flag.Parse()
	var sources []inspect.TableSource
	for _, a := range flag.Args() {
		p := strings.Split(a, "|")
		if len(p) != 3 {
			return fmt.Errorf("%q: want LIBRARY-VERSION|ORIGIN|FILE.a", a)
		}
		sources = append(sources, inspect.TableSource{Of: p[0], Origin: p[1], Path: p[2]})
	}
	if len(sources) == 0 {
		return fmt.Errorf("no library named: want LIBRARY-VERSION|ORIGIN|FILE.a")
	}
	f, err := os.CreateTemp(".", "table")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := inspect.MakeTable(f, sources); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), *out)
}

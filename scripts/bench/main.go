// Bench runs what users run, as whole processes, beside what they would run
// without us, and prints both times and their ratio. Run it with make bench.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/waqasm86/llcuda/bundles"
)

// bench is where things are and how often they run.
type bench struct {
	corpus, bin, matrix string
	// dist is what build left; part is the cell in it whose part is packed, and installed.
	dist, part string
	runs       int
	work       string
	// build is what the rows of build build. With ccache, a tar, both sides start from
	// the compilers' outputs in it, in place of an hour of compiling.
	build    building
	ccache   string
	measured **buildTimes
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	b := bench{measured: new(*buildTimes)}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.corpus, "corpus", "", "the corpus's `DIR`")
	f.StringVar(&b.bin, "bin", "", "llcuda-build, `FILE`")
	f.StringVar(&b.matrix, "matrix", "", "the matrix, `FILE`")
	f.StringVar(&b.dist, "dist", "", "what build left, `DIR`")
	f.StringVar(&b.part, "part", "cpu", "the `CELL` in there whose part is packed, unpacked and installed")
	f.StringVar(&b.build.source, "source", "", "what the rows of build build, `DIR`")
	f.StringVar(&b.build.cell, "cell", "cpu", "the `CELL` that they build")
	f.StringVar(&b.build.image, "image", "", "the image that they build in, `TOOLKIT=REF`")
	f.StringVar(&b.build.change, "change", "", "the `FILE` of the source that is changed")
	f.StringVar(&b.ccache, "ccache", "", "prepare both sides out of `FILE.tar`, as llcuda-build ccache save writes it; there is no cold row then")
	big := f.Bool("big", false, "pack the 374 MB library as well: minutes")
	only := f.String("only", "", "only rows whose name holds `TEXT`")
	f.IntVar(&b.runs, "runs", 15, "how often ours runs")
	level := f.Int("level", 0, "only pack: compression level")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch { // processes of their own, to be measured
	case f.NArg() == 3 && f.Arg(0) == "pack":
		return pack(ctx, f.Arg(1), f.Arg(2), *level)
	case f.NArg() == 4 && f.Arg(0) == "unpack":
		return unpack(ctx, f.Arg(1), f.Arg(2), f.Arg(3))
	}
	var err error
	if b.work, err = os.MkdirTemp(b.corpus, ".bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	fmt.Println(machine())
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tOURS: BEST\tMEDIAN\tCPU\tMEMORY\tTHE RIVAL\tBEST\tMEDIAN\tCPU\tRATIO\tOF CPU\tLOAD")
	for _, row := range rows {
		if !strings.Contains(row.what, *only) || row.big && !*big || row.lean && b.leanPart() == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench: %s ", row.what)
		before := load()
		ours, rival, rivalName, err := row.measure(ctx, b)
		if err != nil {
			fmt.Fprintf(table, "%s\t%v\n", row.what, err)
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		fmt.Fprintln(os.Stderr, seconds(ours.best())) // should the rest be interrupted
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d MB\t%s", row.what, seconds(ours.best()), seconds(ours.median()), seconds(ours.cpu()), ours.memory()>>20, rivalName)
		if len(rival) > 0 {
			fmt.Fprintf(table, "\t%s\t%s\t%s\t%.1f×\t%.1f×", seconds(rival.best()), seconds(rival.median()), seconds(rival.cpu()),
				rival.best().Seconds()/ours.best().Seconds(), rival.cpu().Seconds()/ours.cpu().Seconds())
		} else {
			fmt.Fprint(table, "\t\t\t\t\t")
		}
		fmt.Fprintf(table, "\t%s to %s\n", before, load())
	}
	return table.Flush()
}

// unpack is what an install does to a part that has come, without the network: the
// part's own bytes are hashed, and what its files are follows from its list, whose
// digest, contents, a manifest signs. Without one they are hashed.
func unpack(ctx context.Context, part, dir, contents string) error {
	r, err := os.Open(filepath.Clean(part))
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := bundles.Unpack(ctx, io.TeeReader(r, sha256.New()), dir, bundles.UnpackOptions{Name: part, MaxBytes: 1 << 40, Listed: contents})
	if err == nil && contents != "" && got != contents {
		err = fmt.Errorf("%s unpacks to %s, want %s", part, got, contents)
	}
	return err
}

// pack is what build does last to a cell; it prints what it packed.
func pack(ctx context.Context, dir, out string, level int) error {
	w, err := os.Create(filepath.Clean(out))
	if err != nil {
		return err
	}
	packed, err := bundles.Pack(ctx, dir, w, bundles.PackOptions{Level: level})
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(packed)
}

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if len(os.Args) < 2 {
		fail(errors.New("usage: oracle make|run|rejudge|patch, see go doc ./scripts/oracle"))
	}
	var err error
	switch os.Args[1] {
	case "make":
		err = runMake(ctx, os.Args[2:])
	case "run":
		err = runRun(ctx, os.Args[2:])
	case "rejudge":
		err = runRejudge(os.Args[2:])
	case "patch":
		if len(os.Args) != 4 {
			fail(errors.New("usage: oracle patch FILE PATCHES"))
		}
		err = patchFile(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("oracle does not know %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "oracle:", err)
	os.Exit(1)
}

func runMake(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("make", flag.ExitOnError)
	out := f.String("out", "", "folder for the programs")
	ccbin := f.String("ccbin", "", "host compiler for nvcc")
	only := f.String("only", "", "only programs whose name has this in it")
	jobs := f.Int("j", runtime.NumCPU(), "how many at a time")
	var nvccs []string
	f.Func("nvcc", "`VERSION=PATH` of an nvcc; may be repeated", func(s string) error {
		nvccs = append(nvccs, s)
		return nil
	})
	_ = f.Parse(args)
	if *out == "" || len(nvccs) == 0 {
		return errors.New("make needs -out and -nvcc")
	}
	var missed []error
	for _, n := range nvccs {
		version, path, _ := strings.Cut(n, "=")
		m, err := newMaker(ctx, version, path, *ccbin, *out)
		if err != nil {
			return err
		}
		missed = append(missed, m.all(ctx, *only, *jobs))
	}
	return errors.Join(missed...)
}

func sortPrograms(list []program) {
	slices.SortFunc(list, func(a, b program) int { return cmp.Compare(a.Name, b.Name) })
}

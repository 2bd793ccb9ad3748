package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/internal/cli"
)

// isBLAS tells libcublas.so.N, whose calls a lean runtime has a list of.
func isBLAS(library string) bool { return strings.HasPrefix(library, "libcublas.so.") }

// definedCalls are the functions that the libcublas of a folder gives.
func definedCalls(dir string) ([]string, error) {
	var calls []string
	err := eachELF(dir, func(name string, f *elf.File) error {
		if !isBLAS(name) {
			return nil
		}
		symbols, err := f.DynamicSymbols()
		for _, s := range symbols {
			if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
				calls = append(calls, s.Name)
			}
		}
		return err
	})
	slices.Sort(calls)
	return slices.Compact(calls), err
}

// callsAreThere holds what the files of a cell call of libcublas against what a
// lean one has: a call more, and the program does not start.
func callsAreThere(app string, r builtRuntime) error {
	missing := map[string]bool{}
	err := eachELF(app, func(name string, f *elf.File) error {
		symbols, err := f.ImportedSymbols()
		for _, s := range symbols {
			if isBLAS(s.Library) && !slices.Contains(r.Calls, s.Name) {
				missing[s.Name] = true
			}
		}
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	var names []string
	for n := range missing {
		names = append(names, n)
	}
	slices.Sort(names)
	return &cli.Error{Code: cli.ExitFailed, Err: fmt.Errorf("it calls %s, which the lean runtime %s lacks", strings.Join(names, ", "), r.Part.Name),
		Cure: "add them to build.runtime_calls in the matrix"}
}

// eachELF opens the ELF files of a flat folder; links and others are passed over.
func eachELF(dir string, visit func(name string, f *elf.File) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		f, err := elf.Open(filepath.Join(dir, e.Name()))
		var other *elf.FormatError
		if errors.As(err, &other) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if err != nil {
			return err
		}
		err = visit(e.Name(), f)
		if errors.Is(err, elf.ErrNoSymbols) {
			err = nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return nil
}

//go:build corpus

package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/verify"
)

// toolOf is the cuobjdump of a toolkit of the corpus.
func toolOf(corpus, version string) verify.Tool {
	path := filepath.Join(corpus, "cuda-"+version, "bin/cuobjdump")
	return verify.Tool{Version: version, Run: func(ctx context.Context, args ...string) (stdout, stderr []byte, code int, err error) {
		var out, diag bytes.Buffer
		c := exec.CommandContext(ctx, path, args...)
		c.Stdout, c.Stderr = &out, &diag
		err = c.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return out.Bytes(), diag.Bytes(), 0, err
		}
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return out.Bytes(), diag.Bytes(), 128 + int(s.Signal()), nil
		}
		return out.Bytes(), diag.Bytes(), exit.ExitCode(), nil
	}}
}

// plainly is a tool that is never asked with -all.
func plainly(t verify.Tool) verify.Tool {
	run := t.Run
	t.Run = func(ctx context.Context, args ...string) ([]byte, []byte, int, error) {
		if len(args) == 3 {
			return nil, nil, 0, fs.ErrNotExist
		}
		return run(ctx, args...)
	}
	return t
}

func corpusDir(t *testing.T) string {
	dir := os.Getenv("LLCUDA_CORPUS")
	if dir == "" {
		t.Fatal("LLCUDA_CORPUS names no folder: run this with make corpus")
	}
	return dir
}

// TestCorpusBothWitnessesAgree runs inspect and the fitting cuobjdump over every
// file of the corpus: both lists, with -all and without, after the known
// differences and no others.
func TestCorpusBothWitnessesAgree(t *testing.T) {
	corpus := corpusDir(t)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FILE\tTOOL\tUNITS\tCUBINS\tPTX\tLISTS\tKNOWN DIFFERENCES MET")
	files, differ := 0, 0
	seen := map[string]int{}
	for _, pattern := range []string{"npm/*cuda*/package/bins/*/*.so", "npm/*cuda*/package/bins/*/*/*.so", "debian/usr/lib/*/ggml/*/libggml-cuda.so",
		"cuda-*/lib64/libcud*", "cuda-*/lib64/libcublas*", "built/*/*"} {
		found, err := filepath.Glob(filepath.Join(corpus, pattern))
		if err != nil {
			t.Fatal(err)
		}
		here := 0
		for _, path := range found {
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if !info.Mode().IsRegular() || strings.HasPrefix(filepath.Base(path), ".") {
				continue
			}
			name, err := filepath.Rel(corpus, path)
			if err != nil {
				t.Fatal(err)
			}
			here++
			f, err := inspect.File(path)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			tool := toolOf(corpus, "12.4")
			if strings.Contains(name, "11.8/") {
				tool = toolOf(corpus, "11.8")
			}
			var misses []verify.Miss
			var known []string
			for _, tool := range []verify.Tool{tool, plainly(tool)} {
				m, k, err := verify.Ask(t.Context(), tool, path, f)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				misses = append(misses, m...)
				for _, k := range k {
					if !strings.Contains(strings.Join(known, " "), k) {
						known = append(known, k)
						seen[k]++
					}
				}
			}
			verdict := "equal"
			if len(misses) > 0 {
				verdict = "DIFFER"
				differ++
			}
			for _, m := range misses {
				t.Errorf("%s: %s", name, m.Text)
			}
			units, cubins, texts := totals(f)
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", name, tool.Version, units, cubins, texts, verdict, strings.Join(known, " "))
			files++
		}
		if here == 0 {
			t.Errorf("no file is %s", pattern)
		}
	}
	table.Flush()
	fmt.Printf("%d files, %d differ; known differences met: %v\n", files, differ, seen)
}

func totals(f facts.File) (units, cubins, texts int) {
	if f.Device == nil {
		return 0, 0, 0
	}
	for _, s := range f.Device.SASS {
		cubins += max(s.Units, s.Entries)
	}
	for _, p := range f.Device.PTX {
		texts += max(p.Units, p.Entries)
	}
	return f.Device.Units, cubins, texts
}

// TestCorpusHabitsOfCuobjdump holds the tool to what is said of it: where it
// changes, the list of known differences has to.
func TestCorpusHabitsOfCuobjdump(t *testing.T) {
	corpus := corpusDir(t)
	npm := filepath.Join(corpus, "npm/node-llama-cpp-linux-x64-cuda-3.22.1/package/bins/linux-x64-cuda/libggml-cuda.so")
	t.Run("a file cut short crashes 11.8's, and 12.4's finds no device code in it", func(t *testing.T) {
		f, err := inspect.File(npm)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := os.Open(npm)
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		cut := filepath.Join(t.TempDir(), "cut.so")
		w, err := os.Create(cut)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.CopyN(w, whole, 1<<20)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		misses, _, err := verify.Ask(t.Context(), toolOf(corpus, "11.8"), cut, f)
		if err != nil || len(misses) != 1 || misses[0].Code != verify.WitnessFailed || !strings.Contains(misses[0].Text, "it crashed (signal 11)") {
			t.Errorf("%v, %v", misses, err)
		}
		misses, known, err := verify.Ask(t.Context(), toolOf(corpus, "12.4"), cut, f)
		if err != nil || len(misses) == 0 || len(known) == 0 || known[0] != verify.KnownNoDevice {
			t.Errorf("%v, %v, %v", misses, known, err)
		}
		if _, err := inspect.File(cut); err == nil {
			t.Error("we take it for whole")
		}
	})
	t.Run("11.8's cannot read a file of 13.1", func(t *testing.T) {
		f, err := inspect.File(npm)
		if err != nil {
			t.Fatal(err)
		}
		misses, _, err := verify.Ask(t.Context(), toolOf(corpus, "11.8"), npm, f)
		if err != nil || len(misses) != 1 || misses[0].Code != verify.WitnessFailed {
			t.Errorf("%v, %v", misses, err)
		}
	})
	t.Run("a missing file has exit status 1", func(t *testing.T) {
		misses, _, err := verify.Ask(t.Context(), toolOf(corpus, "12.4"), filepath.Join(t.TempDir(), "nope"), facts.File{Path: "nope"})
		if err != nil || len(misses) != 1 || !strings.Contains(misses[0].Text, "exit status 1") {
			t.Errorf("%v, %v", misses, err)
		}
	})
}

package verify

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Run starts cuobjdump, on this machine or in a container, and returns what it
// wrote and its exit status. err is for a tool that could not be started; a
// child that died of a signal may be reported as a code above 128 or below 0.
type Run func(ctx context.Context, args ...string) (stdout, stderr []byte, code int, err error)

// Tool is a cuobjdump that can be asked.
type Tool struct {
	Run Run
	// Version is its release, "12.4" or "12.4.127"; empty where it is not known.
	Version string
}

// Witness is what cuobjdump lists of a file: how many cubins and PTX texts per
// SM, named as it names them: "90", "90a".
type Witness struct {
	ELF map[string]int
	PTX map[string]int
	// All says that it was asked with -all.
	All bool
	// Version is the tool's, as in Tool.
	Version string
}

// Exit codes and words of cuobjdump, as seen in 11.8 and 12.4.
const (
	codeNoDeviceCode = 255
	codeSignal       = 128
	wordsNoDevice    = "does not contain device code"
	wordsNothing     = "file found to extract"
)

// listed matches one line of a listing: "ELF file    3: lib.3.sm_86.cubin", in
// bare cubins without the middle number.
var listed = lazyregexp.New(`^(?:ELF|PTX) file\s+\d+:\s.*\.sm_(\d+[af]?)\.(?:cubin|ptx)$`)

// ParseListing reads what cuobjdump --list-elf or --list-ptx wrote to stdout:
// the number of files per SM. Headings of archive members are passed over; a
// line that lists something in a form not known is an error.
func ParseListing(stdout []byte) (map[string]int, error) {
	counts := map[string]int{}
	s := bufio.NewScanner(bytes.NewReader(stdout))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := strings.TrimRight(s.Text(), " \r")
		if m := listed.FindStringSubmatch(line); m != nil {
			counts[m[1]]++
			continue
		}
		if strings.HasPrefix(line, "ELF file") || strings.HasPrefix(line, "PTX file") {
			return nil, fmt.Errorf("reading cuobjdump's listing: a line of unknown form %q", line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading cuobjdump's listing: %w", err)
	}
	return counts, nil
}

// Cuobjdump is Ask for a tool of unknown version, with the misses alone.
func Cuobjdump(ctx context.Context, run Run, path string, f facts.File) ([]Miss, error) {
	misses, _, err := Ask(ctx, Tool{Run: run}, path, f)
	return misses, err
}

// Ask puts a file to NVIDIA's tool, at path as the tool sees it, and compares
// the answer with f. known are the known differences that were met. The error
// says that the tool could not be run or understood; that it disagrees, or gave
// up on the file, is a Miss.
//
// It is asked with -all, where it hides nothing; a tool whose answers were
// recorded without (Run is then fs.ErrNotExist) is compared as it answered.
func Ask(ctx context.Context, t Tool, path string, f facts.File) (misses []Miss, known []string, err error) {
	w := Witness{All: true, Version: t.Version}
	for _, list := range []struct {
		arg string
		to  *map[string]int
	}{{"--list-elf", &w.ELF}, {"--list-ptx", &w.PTX}} {
		args := []string{list.arg, "-all", path}
		if !w.All {
			args = []string{list.arg, path}
		}
		stdout, stderr, code, err := t.Run(ctx, args...)
		if w.All && list.arg == "--list-elf" && errors.Is(err, fs.ErrNotExist) {
			w.All = false
			stdout, stderr, code, err = t.Run(ctx, list.arg, path)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("running cuobjdump %s %s: %w", list.arg, path, err)
		}
		why, met := gaveUp(code, stdout, stderr)
		if why != "" {
			return []Miss{{Code: WitnessFailed, File: f.Path, Text: fmt.Sprintf("cuobjdump %s gave up: %s", list.arg, why),
				Fix: "use the cuobjdump of the file's own toolkit; if it is that one, the file is damaged"}}, nil, nil
		}
		if met != "" && !slices.Contains(known, met) {
			known = append(known, met)
		}
		if *list.to, err = ParseListing(stdout); err != nil {
			return nil, nil, err
		}
	}
	misses, more := w.Compare(f)
	return misses, append(known, more...), nil
}

// gaveUp says why a run tells nothing, "" where it does. Nothing found is an
// answer: exit status 0 and a remark on stderr, or 255 without any device code.
func gaveUp(code int, stdout, stderr []byte) (why, known string) {
	remark := strings.TrimSpace(string(stderr))
	switch {
	case code == codeNoDeviceCode && strings.Contains(remark+string(stdout), wordsNoDevice):
		return "", KnownNoDevice
	case code < 0:
		return "it crashed", ""
	case code > codeSignal && code < codeNoDeviceCode:
		return fmt.Sprintf("it crashed (signal %d)", code-codeSignal), ""
	case code != 0:
		return strings.TrimSpace(fmt.Sprintf("exit status %d %s", code, lastLine(remark))), ""
	case len(bytes.TrimSpace(stdout)) == 0 && strings.Contains(remark, wordsNothing):
		return "", KnownNothing
	case len(bytes.TrimSpace(stdout)) == 0 && remark != "":
		return lastLine(remark), ""
	}
	return "", ""
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

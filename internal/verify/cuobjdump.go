package verify

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// Run starts cuobjdump, on this machine or in a container, and returns what it
// wrote and its exit status. err is for a tool that could not be started; a
// child that died of a signal may be reported as a code above 128 or below 0.
type Run func(ctx context.Context, args ...string) (stdout, stderr []byte, code int, err error)

// Witness is what cuobjdump lists of a file: how many cubins and PTX texts per
// SM. The SM is without suffix: cuobjdump shows suffix a only with -all, and in
// some versions also for old cubins of cuBLAS that are not architecture-specific.
type Witness struct {
	ELF map[string]int
	PTX map[string]int
}

// Exit codes and words of cuobjdump, as seen in 11.8 and 12.4.
const (
	codeNoDeviceCode = 255
	wordsNoDevice    = "does not contain device code"
	wordsNothing     = "file found to extract"
)

// listed matches one line of a listing: "ELF file    3: lib.3.sm_86.cubin", in
// bare cubins without the middle number.
var listed = regexp.MustCompile(`^(?:ELF|PTX) file\s+\d+:\s.*\.sm_(\d+)[af]?\.(?:cubin|ptx)$`)

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

// Cuobjdump asks NVIDIA's tool about the file at path, as the tool sees it, and
// compares the answer with f. The error says that the tool could not be run or
// understood; that it disagrees, or gave up on the file, is a Miss.
//
// The tool must be of the file's toolkit or newer: 11.8 takes an sm_75 cubin of
// CUDA 13 for sm_144 and says so with exit status 0.
func Cuobjdump(ctx context.Context, run Run, path string, f facts.File) ([]Miss, error) {
	var w Witness
	for _, list := range []struct {
		arg string
		to  *map[string]int
	}{{"--list-elf", &w.ELF}, {"--list-ptx", &w.PTX}} {
		stdout, stderr, code, err := run(ctx, list.arg, path)
		if err != nil {
			return nil, fmt.Errorf("running cuobjdump %s %s: %w", list.arg, path, err)
		}
		if why := gaveUp(code, stdout, stderr); why != "" {
			return []Miss{{Code: WitnessFailed, File: f.Path, Text: fmt.Sprintf("cuobjdump %s gave up: %s", list.arg, why),
				Fix: "use the cuobjdump of the file's own toolkit; if it is that one, the file is damaged"}}, nil
		}
		if *list.to, err = ParseListing(stdout); err != nil {
			return nil, err
		}
	}
	return w.Compare(f), nil
}

// gaveUp says why a run tells nothing, "" where it does. Nothing found is an
// answer: exit status 0 and a remark on stderr, or 255 without any device code.
func gaveUp(code int, stdout, stderr []byte) string {
	remark := strings.TrimSpace(string(stderr))
	switch {
	case code == codeNoDeviceCode && strings.Contains(remark+string(stdout), wordsNoDevice):
		return ""
	case code != 0:
		return strings.TrimSpace(fmt.Sprintf("exit status %d %s", code, lastLine(remark)))
	case len(bytes.TrimSpace(stdout)) == 0 && remark != "" && !strings.Contains(remark, wordsNothing):
		return lastLine(remark)
	}
	return ""
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

// Compare holds the listing against our facts, after the differences that are
// known: cuobjdump lists every container of .nv_fatbin, device-link stubs too;
// it leaves out __nv_relfatbin but in objects and archives; and it shows no
// suffix.
func (w Witness) Compare(f facts.File) []Miss {
	ours := Witness{ELF: map[string]int{}, PTX: map[string]int{}}
	if d := f.Device; d != nil {
		for _, t := range d.SASS {
			ours.ELF[plain(t.SM)] += max(t.Units, t.Entries)
		}
		for _, t := range d.PTX {
			ours.PTX[plain(t.SM)] += max(t.Units, t.Entries)
		}
		if d.Ignored != nil {
			ours.add(d.Ignored.Images, 1)
		}
		if ext := path.Ext(f.Path); ext == ".o" || ext == ".a" {
			for _, g := range d.Relocatable {
				ours.add(g.Images, g.Units)
			}
		}
	}
	return append(differences(f, "cubins", "sm_", ours.ELF, w.ELF), differences(f, "PTX texts", "compute_", ours.PTX, w.PTX)...)
}

func (w Witness) add(images []facts.Image, n int) {
	for _, i := range images {
		switch i.Kind {
		case facts.KindSASS:
			w.ELF[plain(i.SM)] += n
		case facts.KindPTX:
			w.PTX[plain(i.SM)] += n
		}
	}
}

func plain(sm string) string { return strings.TrimRight(sm, "af") }

func differences(f facts.File, what, prefix string, ours, theirs map[string]int) []Miss {
	all := maps.Clone(ours)
	maps.Copy(all, theirs)
	var list []Miss
	for _, sm := range slices.Sorted(maps.Keys(all)) {
		if ours[sm] != theirs[sm] {
			list = append(list, Miss{Code: WitnessDiffers, File: f.Path, SM: sm,
				Text: fmt.Sprintf("cuobjdump lists %d %s for %s%s, we read %d", theirs[sm], what, prefix, sm, ours[sm]),
				Fix:  "one of the two misreads the file: report it with the file's toolkit and cuobjdump's version"})
		}
	}
	return list
}

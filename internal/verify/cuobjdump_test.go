package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
	"github.com/waqasm86/llcuda/internal/verify"
)

// answer is one captured run of cuobjdump.
type answer struct {
	stdout, stderr string
	code           int
}

func listing(kind, name string, sms ...string) answer {
	ext := map[string]string{"ELF": "cubin", "PTX": "ptx"}[kind]
	var b strings.Builder
	for i, sm := range sms {
		fmt.Fprintf(&b, "%s file %4d: %s.%d.sm_%s.%s\n", kind, i+1, name, i+1, sm, ext)
	}
	return answer{stdout: b.String()}
}

// nothing is what cuobjdump 11.8 and 12.4 say of a file with device code of the
// other kind only: on stderr, and with exit status 0.
func nothing(kind string) answer {
	return answer{stderr: "cuobjdump info    : No " + kind + " file found to extract from 'x'. You may try with -all option.\n"}
}

// These are cuobjdump 11.8.89's own answers about the test data of package
// inspect.
func TestTheSecondWitnessAgreesOnRealFiles(t *testing.T) {
	for file, answers := range map[string]map[string]answer{
		"mix.so": {"--list-elf": listing("ELF", "mix", "75", "75", "75"), "--list-ptx": listing("PTX", "mix", "80", "80")},
		"rdc.so": {"--list-elf": listing("ELF", "rdc", "75"), "--list-ptx": nothing("PTX")},
		"nopie":  {"--list-elf": listing("ELF", "nopie", "75", "75", "75", "75"), "--list-ptx": nothing("PTX")},
		"a.o":    {"--list-elf": listing("ELF", "a", "75"), "--list-ptx": nothing("PTX")},
		"r1.o":   {"--list-elf": listing("ELF", "r1", "75"), "--list-ptx": nothing("PTX")},
		"README.md": {"--list-elf": {stderr: "cuobjdump info    : File 'x' does not contain device code\n", code: 255},
			"--list-ptx": {stderr: "cuobjdump info    : File 'x' does not contain device code\n", code: 255}},
		"12.4.131.fatbin":  {"--list-elf": listing("ELF", "12.4.131", "80", "90"), "--list-ptx": listing("PTX", "12.4.131", "50", "90")},
		"12.5.40-80.cubin": {"--list-elf": {stdout: "ELF file    1: 12.5.40-80.sm_80.cubin\n"}, "--list-ptx": nothing("PTX")},
	} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join("..", "inspect", "testdata", file)
			f, err := inspect.File(path)
			if err != nil {
				t.Fatal(err)
			}
			misses, err := verify.Cuobjdump(t.Context(), replay(t, path, answers), path, f)
			if err != nil || len(misses) != 0 {
				t.Errorf("got %v, %v", misses, err)
			}
		})
	}
}

func replay(t *testing.T, path string, answers map[string]answer) verify.Run {
	return func(_ context.Context, args ...string) ([]byte, []byte, int, error) {
		if len(args) == 3 && args[1] == "-all" { // these answers were recorded without
			return nil, nil, 0, fs.ErrNotExist
		}
		if len(args) != 2 || args[1] != path {
			t.Errorf("cuobjdump was run with %q", args)
		}
		a, ok := answers[args[0]]
		if !ok {
			t.Errorf("no answer to %s", args[0])
		}
		return []byte(a.stdout), []byte(a.stderr), a.code, nil
	}
}

func TestTheSecondWitnessDisagrees(t *testing.T) {
	path := filepath.Join("..", "inspect", "testdata", "mix.so")
	f, err := inspect.File(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Path = "mix.so"
	for name, c := range map[string]struct {
		answers map[string]answer
		want    []string
	}{
		"another SM": {map[string]answer{"--list-elf": listing("ELF", "mix", "144", "75", "75"), "--list-ptx": listing("PTX", "mix", "80")}, []string{
			"cuobjdump-differs: cuobjdump lists 1 cubins for sm_144, we read 0",
			"cuobjdump-differs: cuobjdump lists 2 cubins for sm_75, we read 3",
			"cuobjdump-differs: cuobjdump lists 1 PTX texts for compute_80, we read 2"}},
		"no device code": {map[string]answer{"--list-elf": {stderr: "File 'mix.so' does not contain device code", code: 255}, "--list-ptx": {stderr: "File 'mix.so' does not contain device code", code: 255}}, []string{
			"cuobjdump-differs: cuobjdump lists 0 cubins for sm_75, we read 3",
			"cuobjdump-differs: cuobjdump lists 0 PTX texts for compute_80, we read 2"}},
		"a crash": {map[string]answer{"--list-elf": {code: 139}}, []string{"cuobjdump-failed: cuobjdump --list-elf gave up: it crashed (signal 11)"}},
		"a file newer than the tool": {map[string]answer{"--list-elf": {stderr: "cuobjdump fatal   : Support for 'sm_29' has been removed.\n", code: 1}}, []string{
			"cuobjdump-failed: cuobjdump --list-elf gave up: exit status 1 cuobjdump fatal   : Support for 'sm_29' has been removed."}},
		"silence": {map[string]answer{"--list-elf": {stderr: "strange"}}, []string{"cuobjdump-failed: cuobjdump --list-elf gave up: strange"}},
	} {
		t.Run(name, func(t *testing.T) {
			misses, err := verify.Cuobjdump(t.Context(), replay(t, path, c.answers), path, f)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range misses {
				got = append(got, m.Code+": "+m.Text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("misses (-want +got):\n%s", diff)
			}
		})
	}
}

// What cuobjdump 11.8.86 and 12.4.127 print with -all, by file: it hides nothing
// then. Seen in the corpus (docs/corpus.md), files and counts made small.
func TestKnownDifferencesAreNotMisses(t *testing.T) {
	unit := func(n int, images ...facts.Image) []facts.Group {
		return []facts.Group{{Units: n, Owner: facts.OwnerOwn, Images: images}}
	}
	for name, c := range map[string]struct {
		version string
		device  *facts.Device
		w       verify.Witness
		known   []string
		misses  []string
	}{
		"device-link stubs are listed like units": {"11.8", &facts.Device{Toolkit: "11.8", Units: 2, SASS: []facts.Target{{SM: "75", Units: 2}},
			Ignored: &facts.Ignored{Stub: 1, Images: []facts.Image{sass("75")}}},
			verify.Witness{All: true, ELF: map[string]int{"75": 3}}, []string{verify.KnownStub}, nil},
		"with -all the inputs of relocatable code are listed": {"11.8", &facts.Device{Toolkit: "11.8", Units: 1, SASS: []facts.Target{{SM: "80", Units: 1}}, Relocatable: unit(2, sass("80"), ptx("80", "7.8"))},
			verify.Witness{All: true, ELF: map[string]int{"80": 3}, PTX: map[string]int{"80": 2}}, []string{verify.KnownInputs}, nil},
		"without they are not": {"11.8", &facts.Device{Toolkit: "11.8", Units: 1, SASS: []facts.Target{{SM: "80", Units: 1}}, Relocatable: unit(2, sass("80"), ptx("80", "7.8"))},
			verify.Witness{ELF: map[string]int{"80": 1}}, []string{verify.KnownInputs}, nil},
		"an input that is not listed with -all": {"11.8", &facts.Device{Toolkit: "11.8", Units: 1, SASS: []facts.Target{{SM: "80", Units: 1}}, Relocatable: unit(2, sass("80"))},
			verify.Witness{All: true, ELF: map[string]int{"80": 2}}, []string{verify.KnownInputs}, []string{"cuobjdump-differs: cuobjdump lists 2 cubins for sm_80, we read 3"}},
		"a suffix that no target has (cuBLAS 12.4)": {"12.4", &facts.Device{Toolkit: "mixed", Units: 2, SASS: []facts.Target{{SM: "50", Units: 2, Entries: 3}}},
			verify.Witness{All: true, ELF: map[string]int{"50": 2, "50a": 1}}, []string{verify.KnownFalseSuffix}, nil},
		"a suffix that we do not read": {"12.4", &facts.Device{Toolkit: "12.4", Units: 1, SASS: []facts.Target{{SM: "90", Units: 1}}},
			verify.Witness{All: true, ELF: map[string]int{"90a": 1}}, nil, []string{"cuobjdump-differs: cuobjdump lists 0 cubins for sm_90, we read 1",
				"cuobjdump-differs: cuobjdump lists 1 cubins for sm_90a, we read 0"}},
		"a suffix that the file's own tool does not print": {"12.4", &facts.Device{Toolkit: "12.4", Units: 1, SASS: []facts.Target{{SM: "90a", Units: 1}}},
			verify.Witness{All: true, ELF: map[string]int{"90": 1}}, nil, []string{"cuobjdump-differs: cuobjdump lists 1 cubins for sm_90, we read 0",
				"cuobjdump-differs: cuobjdump lists 0 cubins for sm_90a, we read 1"}},
		"a suffix that the device linker dropped": {"12.4", &facts.Device{Toolkit: "12.4", Units: 1, SASS: []facts.Target{{SM: "90a", Units: 1}}, Relocatable: unit(2, sass("90a")),
			Groups: []facts.Group{{Units: 1, Linked: true, Images: []facts.Image{sass("90a")}}}},
			verify.Witness{All: true, ELF: map[string]int{"90": 1, "90a": 2}}, []string{verify.KnownInputs, verify.KnownLinkedSuffix}, nil},
		"a suffix that the device linker dropped from a stub": {"12.4", &facts.Device{Toolkit: "12.4", Units: 2, SASS: []facts.Target{{SM: "90a", Units: 2}},
			Ignored: &facts.Ignored{Stub: 1, Images: []facts.Image{sass("90a")}}},
			verify.Witness{All: true, ELF: map[string]int{"90": 1, "90a": 2}}, []string{verify.KnownLinkedSuffix, verify.KnownStub}, nil},
		"more suffixes missing than it dropped": {"12.4", &facts.Device{Toolkit: "12.4", Units: 2, SASS: []facts.Target{{SM: "90a", Units: 2}},
			Ignored: &facts.Ignored{Stub: 1, Images: []facts.Image{sass("90a")}}},
			verify.Witness{All: true, ELF: map[string]int{"90": 2, "90a": 1}}, []string{verify.KnownLinkedSuffix, verify.KnownStub},
			[]string{"cuobjdump-differs: cuobjdump lists 1 cubins for sm_90, we read 0", "cuobjdump-differs: cuobjdump lists 2 cubins for sm_90a, we read 3"}},
		"a suffix that an older tool does not print": {"12.4", &facts.Device{Toolkit: "13.1", Units: 1, SASS: []facts.Target{{SM: "86", Units: 1}, {SM: "120a", Units: 1}}},
			verify.Witness{All: true, ELF: map[string]int{"86": 1, "120": 1}}, []string{verify.KnownHiddenSuffix}, nil},
		"a suffix that is hidden without -all": {"12.4", &facts.Device{Toolkit: "12.4", Units: 1, SASS: []facts.Target{{SM: "90", Units: 1}, {SM: "90a", Units: 1}}},
			verify.Witness{ELF: map[string]int{"90": 2}}, []string{verify.KnownHiddenSuffix}, nil},
		"a tool older than the file that misreads it": {"11.8", &facts.Device{Toolkit: "13.1", Units: 1, SASS: []facts.Target{{SM: "75", Units: 1}}},
			verify.Witness{All: true, ELF: map[string]int{"144": 1}}, nil, []string{"cuobjdump-failed: cuobjdump 11.8 is older than the CUDA 13.1 that made the file and reads it otherwise: cuobjdump lists 1 cubins for sm_144, we read 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.w.Version = c.version
			misses, known := c.w.Compare(facts.File{Path: "lib.so", Device: c.device})
			var got []string
			for _, m := range misses {
				got = append(got, m.Code+": "+m.Text)
			}
			if diff := cmp.Diff(c.misses, got); diff != "" {
				t.Errorf("misses (-want +got):\n%s", diff)
			}
			if !slices.Equal(known, c.known) {
				t.Errorf("known differences met: %q, want %q", known, c.known)
			}
		})
	}
}

func TestAToolThatCannotBeRunIsAnError(t *testing.T) {
	broken := errors.New("no such program")
	run := func(context.Context, ...string) ([]byte, []byte, int, error) { return nil, nil, 0, broken }
	if _, err := verify.Cuobjdump(t.Context(), run, "x", bundle().Files[2]); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestListings(t *testing.T) {
	got, err := verify.ParseListing([]byte("\nmember lib.a:a.o:\nELF file    1: lib.1.sm_75.cubin\nELF file   20: odd name.sm_9.20.sm_90a.cubin\r\nELF file  100: lib.100.sm_75.cubin\n"))
	if diff := cmp.Diff(map[string]int{"75": 2, "90a": 1}, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if _, err := verify.ParseListing([]byte("ELF file 1: something.else\n")); err == nil {
		t.Error("a line of unknown form was passed over")
	}
}

func FuzzParseListing(f *testing.F) {
	f.Add([]byte("ELF file    1: lib.1.sm_75.cubin\nPTX file    2: lib.2.sm_90a.ptx\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		counts, err := verify.ParseListing(b)
		for sm, n := range counts {
			if err != nil || n <= 0 || sm == "" {
				t.Fatalf("got %v, %v", counts, err)
			}
		}
	})
}

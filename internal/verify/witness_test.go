package verify

import (
	"context"
	"errors"
	"io/fs"
	"testing"
)

const recorded = `cuobjdump 11.8.86
@ 0 --list-elf libggml-cuda.so
1 ELF file    1: libggml-cuda.1.sm_75.cubin
1 ELF file    2: libggml-cuda.2.sm_75.cubin
@ 0 --list-ptx libggml-cuda.so
2 cuobjdump info    : No PTX file found to extract from 'libggml-cuda.so'. You may try with -all option.
@ 255 --list-elf my lib.so
2 cuobjdump info    : File 'my lib.so' does not contain device code
`

func TestRecordedAnswersComeBackAsTheyWere(t *testing.T) {
	a, err := ReadAnswers(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if a.Absent || a.Version != "11.8.86" {
		t.Errorf("absent %v, version %q", a.Absent, a.Version)
	}
	stdout, stderr, code, err := a.Run(context.Background(), "--list-elf", "libggml-cuda.so")
	if want := "ELF file    1: libggml-cuda.1.sm_75.cubin\nELF file    2: libggml-cuda.2.sm_75.cubin\n"; err != nil || code != 0 || string(stdout) != want || len(stderr) != 0 {
		t.Errorf("got %q %q %d %v", stdout, stderr, code, err)
	}
	if _, stderr, code, err := a.Run(context.Background(), "--list-elf", "my lib.so"); err != nil || code != 255 || len(stderr) == 0 {
		t.Errorf("a name with a space: %q %d %v", stderr, code, err)
	}
	if _, _, _, err := a.Run(context.Background(), "--list-elf", "other.so"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a question that was not asked: %v", err)
	}
}

func TestAnswersThatHideNothingAreTold(t *testing.T) {
	a, err := ReadAnswers("cuobjdump 12.4.127 -all\n@ 0 --list-elf a.so\n1 ELF file    1: a.1.sm_90a.cubin\n")
	if err != nil || !a.All || a.Version != "12.4.127" {
		t.Fatalf("%+v, %v", a, err)
	}
	if stdout, _, _, err := a.Run(t.Context(), "--list-elf", "-all", "a.so"); err != nil || len(stdout) == 0 {
		t.Errorf("asked with -all: %q, %v", stdout, err)
	}
	if _, _, _, err := a.Run(t.Context(), "--list-elf", "a.so"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("asked without: %v", err)
	}
	plain, err := ReadAnswers(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := plain.Run(t.Context(), "--list-elf", "-all", "libggml-cuda.so"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("recorded without -all, asked with: %v", err)
	}
}

func TestAbsentWitnessIsSaid(t *testing.T) {
	a, err := ReadAnswers("absent\n")
	if err != nil || !a.Absent {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAnswersOfUnknownFormAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                     "",
		"no first line":               "@ 0 --list-elf a.so\n",
		"output before a question":    "cuobjdump 11.8\n1 ELF file\n",
		"a status that is no number":  "cuobjdump 11.8\n@ x --list-elf a.so\n",
		"a question without a file":   "cuobjdump 11.8\n@ 0 --list-elf\n",
		"an answer of an absent tool": "absent\n@ 0 --list-elf a.so\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadAnswers(text); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func FuzzReadAnswers(f *testing.F) {
	f.Add(recorded)
	f.Add("absent\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ReadAnswers(text)
		if err == nil && a == nil {
			t.Fatal("neither answers nor an error")
		}
	})
}

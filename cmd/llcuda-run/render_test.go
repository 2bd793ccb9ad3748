package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/bundles/facts"
)

func TestWrapBreaksAtSpacesOnly(t *testing.T) {
	for name, c := range map[string]struct {
		text          string
		width         int
		indent, wants string
	}{
		"nothing":                             {"", 10, "  ", ""},
		"what fits stays on a line":           {"one two", 7, "  ", "one two"},
		"a line is as wide as allowed":        {"one two three", 7, "", "one two\nthree"},
		"further lines are led in":            {"one two three", 8, "  ", "one two\n  three"},
		"spaces and line ends become one":     {" one \n two\t three ", 20, "", "one two three"},
		"a long word is never broken":         {"a unbreakable b", 4, "", "a\nunbreakable\nb"},
		"a long word at the start":            {"unbreakable b", 4, "", "unbreakable\nb"},
		"a command is typed whole":            {"say export A=1 now", 9, "", "say\nexport A=1\nnow"},
		"columns are counted, not bytes":      {"ÄÖÜ äöü", 7, "", "ÄÖÜ äöü"},
		"the width is that of text, not lead": {"aa bb cc", 5, "        ", "aa bb\n        cc"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wrap(c.text, c.width, c.indent); got != c.wants {
				t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.width, got, c.wants)
			}
		})
	}
}

// long is longer than a line.
var long = strings.Repeat("a sentence that goes on and on. ", 6)

func TestCandidatesOfEveryVerdictInOrderOnEightyColumns(t *testing.T) {
	reason := facts.Reason{Code: facts.PTXISATooNew, CUDAError: 222, Text: strings.TrimSpace(long), Fix: strings.TrimSpace(long)}
	candidates := []facts.Candidate{
		{Bundle: "refused-one", Verdict: facts.VerdictRefused, Reasons: []facts.Reason{reason}},
		{Bundle: "unknown-one", Verdict: facts.VerdictUnknown, Reasons: []facts.Reason{{Code: facts.UnknownFact, Text: "One fact is open.", Fix: "not shown: nothing is to be mended"}}},
		{Bundle: "cpu-one", Verdict: facts.VerdictCPU},
		{Bundle: "jit-one", Verdict: facts.VerdictJIT},
		{Bundle: "native-one", Verdict: facts.VerdictNative},
		{Bundle: "native-two", Verdict: facts.VerdictNative},
	}
	before := slices.Clone(candidates)
	var b bytes.Buffer
	writeCandidates(&b, false, &facts.Choice{Bundle: "native-two"}, candidates)
	if diff := cmp.Diff(before, candidates); diff != "" {
		t.Errorf("the caller's list was changed:\n%s", diff)
	}
	var heads []string
	for line := range strings.SplitSeq(strings.TrimRight(b.String(), "\n"), "\n") {
		if n := len([]rune(line)); n > columns {
			t.Errorf("%d columns: %q", n, line)
		}
		if !strings.HasPrefix(line, "   ") {
			heads = append(heads, line)
		}
	}
	want := []string{
		"* native   native-two", "  native   native-one", "  jit      jit-one", "  cpu      cpu-one",
		"  unknown  unknown-one", "  refused  refused-one",
	}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
	for _, part := range []string{"[ptx-isa-too-new, CUDA error 222]", "           → a sentence", "           One fact is open. [unknown-fact]\n"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("no %q in:\n%s", part, b.String())
		}
	}
	if strings.Contains(b.String(), "not shown") {
		t.Errorf("a fix for a bundle that is not refused:\n%s", b.String())
	}
}

func TestWithoutAChoiceNoneIsMarked(t *testing.T) {
	var b bytes.Buffer
	writeCandidates(&b, false, nil, []facts.Candidate{{Bundle: "x", Verdict: facts.VerdictCPU}})
	if got := b.String(); got != "  cpu      x\n" {
		t.Errorf("%q", got)
	}
}

func TestDescribeChoice(t *testing.T) {
	for want, c := range map[string]*facts.Choice{
		"no bundle fits this host":                                                    nil,
		"a: machine code for every visible GPU":                                       {Bundle: "a", Via: facts.ViaSASS},
		"a: machine code for every visible GPU, with the CUDA libraries of this host": {Bundle: "a", Via: facts.ViaSASS, Runtime: "host", RuntimeForm: "host"},
		"a: machine code for every visible GPU, with the lean CUDA runtime of the release. This host has no libcublas.so.11.": {
			Bundle: "a", Via: facts.ViaSASS, Runtime: "sha256:aa", RuntimeForm: "lean", RuntimeBecause: "This host has no libcublas.so.11."},
		"a: machine code for every visible GPU, with NVIDIA's CUDA libraries of the release": {Bundle: "a", Via: facts.ViaSASS, Runtime: "sha256:aa", RuntimeForm: "stock"},
		"a: through PTX: the first start compiles and is slow":                               {Bundle: "a", Via: facts.ViaPTX},
		"a: on the CPU":             {Bundle: "a", Via: "cpu"},
		"a: by a way of the future": {Bundle: "a", Via: "by a way of the future"},
	} {
		if got := describeChoice(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHostOnEightyColumns(t *testing.T) {
	for name, h := range map[string]facts.Host{
		"nothing is known": {Unknown: map[string]string{"driver": long, "gpus": long, "libs": long}},
		"everything is known": {Platform: "linux/amd64", Where: []string{"container", "colab"},
			Driver: &facts.Driver{Kernel: "535.104.05", Libcuda: "550.54.14", CUDA: "12.4", Compat: true, Source: "nvml"},
			GPUs: []facts.GPU{{Index: 0, Name: "Tesla T4", CC: "7.5", Memory: 15843721216, Visible: true}, {Index: 1, Name: long},
				{Index: 2, Name: "Tesla K80", Dropped: true}},
			Libc: "2.35", Env: map[string]string{"CUDA_VISIBLE_DEVICES": "0"}, Libs: []facts.HostLib{{Soname: "libcublas.so.12", Path: "/usr/lib/libcublas.so.12", Version: "12.4"}}},
		"a machine without a GPU": {GPUs: []facts.GPU{}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			writeHost(&b, h)
			for line := range strings.SplitSeq(b.String(), "\n") {
				if n := len([]rune(line)); n > columns {
					t.Errorf("%d columns: %q", n, line)
				}
			}
			want := map[string][]string{
				"nothing is known":        {"driver    unknown: a sentence", "gpus      unknown: a sentence", "unknown   libs: a sentence"},
				"a machine without a GPU": {"driver    none\n", "gpus      none\n"},
				"everything is known": {"platform  linux/amd64 · container, colab\n",
					"driver    550.54.14, CUDA 12.4, kernel module 535.104.05, libcuda of a\n          forward-compatibility package (nvml)\n",
					"gpu 0     Tesla T4, compute capability 7.5, 15.8 GB\n", "hidden", "gpu 2     Tesla K80, not supported by this driver any more\n",
					"glibc     2.35, libstdc++ unknown\n", "env       CUDA_VISIBLE_DEVICES=0\n", "library   libcublas.so.12 12.4 /usr/lib/libcublas.so.12\n"},
			}[name]
			for _, part := range want {
				if !strings.Contains(b.String(), part) {
					t.Errorf("no %q in:\n%s", part, b.String())
				}
			}
		})
	}
}

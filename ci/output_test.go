package ci

import (
	"fmt"
	"strings"
	"testing"
)

func contextLines(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("line %d", i))
	}
	return all
}

func TestTailBeginsAtTheFirstFailure(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		first string
		n     int
	}{
		{"nothing looks like a failure: the last lines", contextLines(50), "line 30", 20},
		{"few lines: all", contextLines(3), "line 0", 3},
		{"an error in the middle", append(contextLines(30), append([]string{"x.c:1:2: error: no"}, contextLines(50)...)...), "x.c:1:2: error: no", 20},
		{"ninja's FAILED beats an error before it", []string{"-- a probe: error: no", "[1/2] Building", "FAILED: [code=1] x.o", "cc x.c", "x.c:1: error: yes"}, "FAILED: [code=1] x.o", 3},
		{"the first FAILED counts", []string{"FAILED: a.o", "a.c:1: error: a", "FAILED: b.o"}, "FAILED: a.o", 3},
		{"nvcc's words", []string{"ok", "nvcc fatal   : Unsupported gpu architecture 'compute_90'"}, "nvcc fatal   : Unsupported gpu architecture 'compute_90'", 1},
		{"ptxas and numbered errors without a colon are no sign", []string{"ok", "ptxas x.ptx, line 3; fatal   : bad", "error #20 unknown"}, "ok", 3},
		{"a linker's words", []string{"ok", "x.o: undefined reference to `f'", "collect2: error: ld returned 1"}, "x.o: undefined reference to `f'", 2},
		{"a file named error.cpp is none", []string{"[1/2] Building error.cpp.o", "done"}, "[1/2] Building error.cpp.o", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tl tail
			for _, l := range c.lines {
				tl.add(l)
			}
			got := tl.lines()
			if len(got) != c.n || got[0] != c.first {
				t.Errorf("%d lines from %q, want %d from %q", len(got), got[0], c.n, c.first)
			}
		})
	}
}

func TestTailLinesAreShortAndWhole(t *testing.T) {
	var tl tail
	tl.add("FAILED: " + strings.Repeat("ü", 5000))
	if got := tl.lines()[0]; len(got) > tailColumns+10 || !strings.HasSuffix(got, "ü …") {
		t.Errorf("%d bytes, ends in %q", len(got), got[len(got)-8:])
	}
}

func TestNinjaCounts(t *testing.T) {
	for line, want := range map[string]string{
		"[12/458] Building CXX object x.o": "12 458 true",
		"[458/458] Linking":                "458 458 true",
		"[ 12%] Building":                  "0 0 false",
		"[3/2] nonsense":                   "3 2 false",
		"x [1/2] y":                        "0 0 false",
		"[0/0] y":                          "0 0 false",
	} {
		d, n, ok := ninja(line)
		if got := fmt.Sprint(d, n, ok); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func FuzzParseTools(f *testing.F) {
	for _, s := range []string{"cc=gcc\n", "", "# x\n\na=b=c", "nonsense", "a=1\na=2", "=x", "a b=c", "a=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tools, err := parseTools(s)
		if err != nil && tools != nil {
			t.Error("both tools and an error")
		}
		for k, v := range tools {
			if k == "" || strings.ContainsAny(k+v, "\n") {
				t.Errorf("%q=%q", k, v)
			}
		}
	})
}

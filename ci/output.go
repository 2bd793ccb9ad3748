package ci

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

const (
	tailLines   = 20
	tailColumns = 300
)

var ninjaLine = lazyregexp.New(`^\[([0-9]{1,7})/([0-9]{1,7})\] `)

// ninja reads "[12/458] Building …".
func ninja(line string) (done, total int, ok bool) {
	m := ninjaLine.FindStringSubmatch(line)
	if m == nil {
		return 0, 0, false
	}
	done, _ = strconv.Atoi(m[1])
	total, _ = strconv.Atoi(m[2])
	return done, total, total > 0 && done <= total
}

// tail keeps of a step's output what a reader of its failure wants: the lines
// from the first failure on. Ninja's FAILED says where the compiler's words
// begin, so it beats an "error:" that stands before it (a failed probe of
// configure, a warning's text).
type tail struct {
	last  []string
	found []string
	rank  int
}

var failure = lazyregexp.New(`(?i)(^|[\s:(])(fatal )?error( [a-z0-9]+)?:|^CMake Error|undefined reference to|^nvcc fatal|^collect2: |: not found$|No such file or directory`)

func (t *tail) add(line string) {
	line = cut(line)
	rank := 0
	switch {
	case strings.HasPrefix(line, "FAILED: "):
		rank = 2
	case failure.MatchString(line):
		rank = 1
	}
	if rank > t.rank {
		t.rank, t.found = rank, nil
	}
	if t.rank > 0 && len(t.found) < tailLines {
		t.found = append(t.found, line)
	}
	if len(t.last) == tailLines {
		t.last = append(t.last[:0], t.last[1:]...)
	}
	t.last = append(t.last, line)
}

func (t *tail) lines() []string {
	if len(t.found) > 0 {
		return t.found
	}
	return t.last
}

// cut shortens a line to what a terminal can show: Ninja prints the failing
// command, thousands of bytes, between FAILED and the compiler's words.
func cut(line string) string {
	line = strings.ToValidUTF8(line, "?")
	if len(line) <= tailColumns {
		return line
	}
	i := tailColumns
	for !utf8.RuneStart(line[i]) {
		i--
	}
	return line[:i] + " …"
}

package lines

import (
	"slices"
	"strings"
	"testing"
)

func TestLinesAreCutAtEveryKindOfEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"split anywhere", []string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		{"carriage returns rewrite a line", []string{"1%\r2%\rdone\n"}, []string{"1%", "2%", "done"}},
		{"two-byte ends are one end", []string{"a\r\nb\r\n"}, []string{"a", "b"}},
		{"empty lines stay", []string{"a\n\nb\n"}, []string{"a", "", "b"}},
		{"a last line without end", []string{"a\nb"}, []string{"a", "b"}},
		{"a line without end is cut", []string{strings.Repeat("x", maxLine+1)}, []string{strings.Repeat("x", maxLine), "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			l := &Writer{Each: func(s string) { got = append(got, s) }}
			for _, w := range c.writes {
				if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			l.Flush()
			if !slices.Equal(got, c.want) {
				t.Errorf("got %.100q, want %.100q", got, c.want)
			}
		})
	}
}

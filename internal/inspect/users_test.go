package inspect_test

import (
	"slices"
	"testing"

	"github.com/waqasm86/llcuda/bundles/facts"
	"github.com/waqasm86/llcuda/internal/inspect"
)

func TestPeopleWhoBuiltAFileAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		section, data string
		want          []string
	}{
		"the owner of a folder that leaked": {".rodata", "\x00/home/alice/llama/a.c\x00/Users/bob/x.c\x00", []string{"alice", "bob"}},
		"a compiler's banner":               {".comment", "GCC: 12.2\x00built by carol@laptop (gcc)\x00", []string{"carol@laptop"}},
		"a banner among constants":          {".rodata", "Linux (root@buildd.local) (gcc 12)\x00", []string{"root@buildd.local"}},
		"an address of mail":                {".rodata", "bugs by <dave@example.org> (eve@example.com)\x00", nil},
		"a version of a symbol":             {".rodata", "memcpy@GLIBC_2.14 (memcpy@)\x00", nil},
		"nobody":                            {".rodata", "a @ b @@ by @x\x00", nil},
	} {
		f := read(t, builder{stack: plainStack, sections: []testSection{{c.section, progbits, allocated, []byte(c.data)}}}.build())
		if !slices.Equal(f.ELF.Users, c.want) {
			t.Errorf("%s: got %q, want %q", name, f.ELF.Users, c.want)
		}
		if named := has(inspect.Problems(f), "user-name"); named != (c.want != nil) {
			t.Errorf("%s: problems %v", name, inspect.Problems(f))
		}
	}
}

func has(list []facts.Problem, code string) bool {
	return slices.ContainsFunc(list, func(p facts.Problem) bool { return p.Code == code })
}

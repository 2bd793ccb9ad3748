package inspect

import (
	"bytes"
	"strings"
)

// maxName bounds a name in the dynamic strings: the longest C++ ones have some
// ten thousand characters.
const maxName = 64 << 10

// stringTable is the dynamic strings of a file, which stay where they are: with
// its static libraries linked in, cuBLAS has tens of megabytes of them, and a
// dozen are asked for.
type stringTable struct{ g region }

func openStrings(g region, off, size uint64) (stringTable, error) {
	w, err := g.sub(off, size, "the dynamic strings")
	w.r = &ahead{r: g.r}
	return stringTable{w}, err
}

// at is the NUL-terminated string at off, "" where there is none.
func (t stringTable) at(off uint64) string {
	if t.g.r == nil {
		return ""
	}
	for n := uint64(256); t.g.has(off, 1); n *= 4 {
		b, err := t.g.bytes(off, min(n, uint64(t.g.size)-off), "a string")
		if err != nil {
			return ""
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return strings.ToValidUTF8(string(b[:i]), "?")
		}
		if uint64(len(b)) < n || n >= maxName {
			break
		}
	}
	return ""
}

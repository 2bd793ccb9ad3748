package bundles

import (
	"fmt"
	"slices"
	"strings"
)

// Sum is one line of SHA256SUMS.
type Sum struct {
	// Name is a bare file name.
	Name string
	// SHA256 is 64 lower-case hex digits.
	SHA256 string
}

// MarshalSums writes lines that `sha256sum -c SHA256SUMS` reads, sorted by
// name. They are there for people: the runner believes the manifest alone.
func MarshalSums(sums []Sum) ([]byte, error) {
	sorted := slices.Clone(sums)
	slices.SortFunc(sorted, func(a, b Sum) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for i, s := range sorted {
		if err := sumFault(s); err != nil {
			return nil, err
		}
		if i > 0 && sorted[i-1].Name == s.Name {
			return nil, fmt.Errorf("%s: %q appears twice", SumsName, s.Name)
		}
		b.WriteString(s.SHA256 + "  " + s.Name + "\n")
	}
	return []byte(b.String()), nil
}

// ParseSums reads what coreutils writes in text or binary mode. Names with a
// folder, an escape or a control character are refused, and so is a name that
// appears twice.
func ParseSums(data []byte) ([]Sum, error) {
	var sums []Sum
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if len(line) < 67 || line[64] != ' ' || line[65] != ' ' && line[65] != '*' {
			return nil, fmt.Errorf("%s:%d: not a line of sha256sum", SumsName, n)
		}
		s := Sum{Name: line[66:], SHA256: line[:64]}
		if err := sumFault(s); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", SumsName, n, err)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("%s:%d: %q appears twice", SumsName, n, s.Name)
		}
		seen[s.Name] = true
		sums = append(sums, s)
	}
	return sums, nil
}

func sumFault(s Sum) error {
	if !isSHA256Hex(s.SHA256) {
		return fmt.Errorf("%q: not 64 lower-case hex digits", s.SHA256)
	}
	if f := pathFault(s.Name); f != "" || strings.Contains(s.Name, "/") {
		return fmt.Errorf("%q: not a bare file name", s.Name)
	}
	return nil
}

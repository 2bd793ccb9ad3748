package models

import (
	"cmp"
	"slices"
	"strings"
)

// near are the names most like a word, best first, at most three. A name is
// near that is the word but for a few letters, or that holds it.
func near(word string, names []string) []string {
	type candidate struct {
		name string
		far  int
	}
	word = strings.ToLower(word)
	var list []candidate
	for _, name := range names {
		low := strings.ToLower(name)
		far := distance(word, low)
		switch {
		case strings.HasPrefix(low, word):
			far = 0
		case len(word) >= 3 && strings.Contains(squeeze(low), squeeze(word)):
			far = 1
		}
		if far <= max(2, len(word)/4) {
			list = append(list, candidate{name, far})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.far, b.far) })
	var best []string
	for _, c := range list[:min(3, len(list))] {
		best = append(best, c.name)
	}
	return best
}

// squeeze leaves the separators out: "gemma3" is in "gemma-3-1b-Q4_K_M".
func squeeze(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(s)
}

// distance is Levenshtein's: the letters to change, add or drop.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left, diagonal := i+1, i
		for j := range len(b) {
			step := diagonal
			if a[i] != b[j] {
				step++
			}
			diagonal = row[j+1]
			row[j], left = left, min(step, left+1, diagonal+1)
		}
		row[len(b)] = left
	}
	return row[len(b)]
}

package matrix_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/compat"
	"github.com/waqasm86/llcuda/matrix"
)

func TestTegraChipsAreThoseOfTheFacts(t *testing.T) {
	table, err := compat.Load()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, chip := range table.Facts.Tegra.Chips {
		want = append(want, strings.Replace(chip.CC, ".", "", 1))
	}
	if got := matrix.Tegra(); !slices.Equal(got, want) {
		t.Errorf("got %q, the facts have %q", got, want)
	}
}

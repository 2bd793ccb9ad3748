package inspect

import (
	"io"

	"github.com/waqasm86/llcuda/bundles/facts"
)

// ReaderWith reads with a table of NVIDIA's images of the test's own.
func ReaderWith(table string, r io.ReaderAt, size int64, name string) (facts.File, error) {
	t, err := openTable(table)
	if err != nil {
		return facts.File{}, err
	}
	return readWith(t, r, size, name)
}

// Tegra are the SMs of Tegra chips.
func Tegra() []string { return tegra }

// EmbeddedTable is the table that is shipped.
func EmbeddedTable() string { return nvidiaData }

package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FreeSpace tells the bytes that an ordinary user may still write below dir,
// which need not exist yet: its nearest existing parent counts.
func FreeSpace(dir string) (uint64, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return st.Bavail * uint64(st.Bsize), nil
		}
		if up := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && up != dir {
			dir = up
			continue
		}
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
}

// CheckSpace returns a [*SpaceError] where free says that dir has fewer than
// need bytes left for name. A file system that does not tell is no reason to
// stop: the write itself will. free nil means [FreeSpace].
func CheckSpace(free func(dir string) (uint64, error), dir string, need int64, name string) error {
	if free == nil {
		free = FreeSpace
	}
	have, err := free(dir)
	if err != nil {
		have = math.MaxUint64
	}
	if need > 0 && uint64(need) > have {
		return &SpaceError{Name: name, Dir: dir, Need: need, Have: have}
	}
	return nil
}

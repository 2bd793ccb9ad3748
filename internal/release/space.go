package release

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// CheckSpace gives a *SpaceError where the disk of an existing folder has
// fewer than need bytes free for this user.
func CheckSpace(dir string, need int64) error {
	free, err := freeBytes(dir)
	if err != nil {
		return err
	}
	return spaceFor(dir, need, free)
}

func spaceFor(dir string, need, free int64) error {
	if need > free {
		return &SpaceError{Dir: dir, Need: need, Free: free}
	}
	return nil
}

func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("asking for free space of %q: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

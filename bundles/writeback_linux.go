package bundles

import (
	"os"

	"golang.org/x/sys/unix"
)

// beginWriteback asks the kernel to start writing a range of a file to the disk,
// and does not wait. It is a hint: Sync is what counts, and tells what failed.
func beginWriteback(f *os.File, from, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), from, n, unix.SYNC_FILE_RANGE_WRITE)
}

package cli

import "runtime/debug"

// BoundMemory has the collector keep this process below so many bytes where it
// can: it works harder rather than take more. A lower limit that was set before,
// as with GOMEMLIMIT, stays.
func BoundMemory(bytes int64) {
	if debug.SetMemoryLimit(-1) > bytes {
		debug.SetMemoryLimit(bytes)
	}
}

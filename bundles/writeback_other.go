//go:build !linux

package bundles

import "os"

// beginWriteback is a hint that only Linux takes.
func beginWriteback(*os.File, int64, int64) {}

// reserve is done on Linux alone.
func reserve(*os.File, int64) {}

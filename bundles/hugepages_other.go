//go:build !linux

package bundles

func preferHugePages([]byte) {}

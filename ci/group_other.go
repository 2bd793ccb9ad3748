//go:build unix && !linux

package ci

import "syscall"

// ownGroup puts a step into a process group of its own, so that it can be
// stopped with all it started.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

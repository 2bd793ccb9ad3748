package ci

import "syscall"

// ownGroup puts a step into a process group of its own, so that it can be
// stopped with all it started, and lets it end when this process dies. (A
// grandchild outlives a SIGKILL of this process; what it writes goes to a
// staging folder that nobody takes for a result.)
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

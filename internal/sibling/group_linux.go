package sibling

import "syscall"

// ownGroup keeps the terminal's Ctrl-C from the child, and ends it with the thread
// that started it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

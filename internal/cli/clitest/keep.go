package clitest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Keep is a program for scripts that watch another one while it runs:
//
//	exec keep NAME PROGRAM ARG… &NAME&
//
// It runs PROGRAM, writes its process number to NAME.pid, its stdout to
// NAME.out, its stderr to NAME.err and at the end its exit code to NAME.code (-1
// where a signal ended it), and ends with 0. Where Keep is killed, which is what
// a failing script does, PROGRAM is killed too.
func Keep() {
	if err := keep(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "keep:", err)
		os.Exit(1)
	}
}

func keep(name, program string, args []string) error {
	out, err := os.Create(name + ".out")
	if err != nil {
		return err
	}
	defer out.Close()
	errs, err := os.Create(name + ".err")
	if err != nil {
		return err
	}
	defer errs.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is bound to the thread
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(name+".pid", fmt.Appendf(nil, "%d\n", cmd.Process.Pid), 0o644); err != nil {
		return err
	}
	_ = cmd.Wait() // its exit code tells
	return os.WriteFile(name+".code", fmt.Appendf(nil, "%d\n", cmd.ProcessState.ExitCode()), 0o644)
}

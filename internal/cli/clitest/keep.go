package clitest

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// Keep is a program for scripts that watch another one while it runs:
//
//	exec keep NAME PROGRAM ARG… &NAME&
//
// It runs PROGRAM, writes its stdout to NAME.out, its stderr to NAME.err and at
// the end its exit code to NAME.code, passes signals on, and ends with 0. When
// Keep is killed, PROGRAM is killed too, and NAME.code is not written.
func Keep() {
	if err := keep(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "keep:", err)
		os.Exit(1)
	}
}

func keep(name, program string, args []string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
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
	// Its own group, so that only this program passes signals on to it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is bound to the thread
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may be gone
		}
	}()
	_ = cmd.Wait() // its exit code tells
	return os.WriteFile(name+".code", fmt.Appendf(nil, "%d\n", cmd.ProcessState.ExitCode()), 0o644)
}

// Package flock takes an advisory lock on an open file and waits for it with a
// context. It turns "two processes want the same thing" into "one does it, the
// other waits, says so, and can be interrupted".
//
// The lock is flock(2): it belongs to the open file description, and the
// kernel drops it when its process ends, however it ends. So there is nothing
// to clean up after a kill -9, and a lock file's presence means nothing. A
// forked child that inherits the descriptor would keep the lock; Go opens
// files close-on-exec, so children started by os/exec do not.
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Lock takes the exclusive lock on f and waits while another holds it. The
// first time it has to wait it calls waiting, which may be nil. The lock ends
// with Unlock or when f is closed. When ctx ends first, Lock returns its cause.
func Lock(ctx context.Context, f *os.File, waiting func()) error {
	const slowest = 200 * time.Millisecond
	pause := 5 * time.Millisecond
	for {
		err := try(f, unix.LOCK_EX)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		pause = min(2*pause, slowest)
	}
}

// TryLock takes the exclusive lock on f if nobody has one, and says whether it did.
// As for Lock and Wait, f is open for writing, or a folder: NFS and SMB make a range
// lock of it, and have none on a file that is open for reading (flock(2)). That is
// EBADF here on every file system.
func TryLock(f *os.File) (bool, error) { return attempt(f, unix.LOCK_EX) }

// TryShare takes a shared lock on f if nobody has an exclusive one. It needs
// no more than f open for reading.
func TryShare(f *os.File) (bool, error) { return attempt(f, unix.LOCK_SH) }

func attempt(f *os.File, how int) (bool, error) {
	err := try(f, how)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return false, nil
	}
	return false, fmt.Errorf("locking %s: %w", f.Name(), err)
}

func try(f *os.File, how int) error {
	if how == unix.LOCK_EX {
		if err := writable(f); err != nil {
			return err
		}
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// writable is EBADF for a file that was opened for reading alone.
func writable(f *os.File) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		return err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return err
	}
	return unix.EBADF
}

// Wait takes the exclusive lock on f, however long that takes: for locks that
// are only ever held for the moment of a small write.
func Wait(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// Unlock drops the lock on f.
func Unlock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		return fmt.Errorf("unlocking %s: %w", f.Name(), err)
	}
	return nil
}

package flock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestALockKeepsOthersOutUntilItEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, b := open(t, path), open(t, path)
	if err := Lock(t.Context(), a, func() { t.Error("waited for nobody") }); err != nil {
		t.Fatal(err)
	}
	if ok, err := TryLock(b); ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := TryShare(b); ok || err != nil {
		t.Fatal(ok, err)
	}
	said := 0
	done := make(chan error, 1)
	go func() {
		done <- Lock(t.Context(), b, func() {
			said++
			if err := Unlock(a); err != nil { // now that b waits
				t.Error(err)
			}
		})
	}()
	if err := <-done; err != nil || said != 1 {
		t.Fatalf("said %d times, %v", said, err)
	}
	if ok, err := TryLock(a); ok || err != nil {
		t.Fatal(ok, err)
	}
	b.Close() // as the end of its process does
	if err := Wait(a); err != nil {
		t.Fatal(err)
	}
}

func TestSharesGoTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for range 3 {
		if ok, err := TryShare(open(t, path)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if ok, err := TryLock(open(t, path)); ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, b := open(t, path), open(t, path)
	if err := Lock(t.Context(), a, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	if err := Lock(ctx, b, func() { cancel(stop) }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
}

func TestAClosedFileCannotBeLocked(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "lock"))
	f.Close()
	if err := Lock(t.Context(), f, nil); err == nil {
		t.Error("locked")
	}
	if err := Wait(f); err == nil {
		t.Error("locked")
	}
}

// NFS and SMB refuse it; this refuses it everywhere, so that tests see it.
func TestAnExclusiveLockNeedsAFileOpenForWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open(t, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := TryLock(f); ok || !errors.Is(err, unix.EBADF) {
		t.Error(ok, err)
	}
	if ok, err := TryShare(f); !ok || err != nil {
		t.Error(ok, err)
	}
}

package store

import (
	"fmt"
	"io/fs"
)

// NoHomeError says that there is no folder to keep a store in.
type NoHomeError struct{}

func (*NoHomeError) Error() string {
	return "no folder for the store: none of LLCUDA_HOME, XDG_DATA_HOME and HOME names one"
}

// Hint says what to do.
func (*NoHomeError) Hint() string { return "set LLCUDA_HOME to a folder that you can write" }

// StoreError says that a folder cannot be used as a store.
type StoreError struct{ Dir, Reason, Cure string }

func (e *StoreError) Error() string { return fmt.Sprintf("the store %s: %s", e.Dir, e.Reason) }

// Hint says what to do.
func (e *StoreError) Hint() string { return e.Cure }

// PartError says that a part, though its packed bytes are those that the
// manifest names, does not unpack to what the manifest says. Nothing of it is kept.
type PartError struct {
	Name, Digest string
	Err          error
}

func (e *PartError) Error() string { return fmt.Sprintf("part %s cannot be used: %v", e.Name, e.Err) }
func (e *PartError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *PartError) Hint() string {
	return "the release itself is wrong, not the download: tell its publisher, and use another release (--from …@TAG)"
}

// ExitCode is 4: download or verification failed.
func (e *PartError) ExitCode() int { return 4 }

// DamagedError says that an installed bundle is not what was installed.
type DamagedError struct {
	ID, Release, Dir string
	// Why names the first difference.
	Why string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("bundle %s %s in %s is damaged: %s", e.ID, e.Release, e.Dir, e.Why)
}

// Hint says what to do.
func (e *DamagedError) Hint() string { return "install it again: llcuda-run pull" }

// ExitCode is 4: download or verification failed.
func (e *DamagedError) ExitCode() int { return 4 }

// NotInstalledError says that there is no such bundle. It is fs.ErrNotExist.
type NotInstalledError struct{ ID, Release string }

func (e *NotInstalledError) Error() string {
	if e.Release == "" {
		return fmt.Sprintf("bundle %s is not installed", e.ID)
	}
	return fmt.Sprintf("bundle %s %s is not installed", e.ID, e.Release)
}

// Is makes the error fs.ErrNotExist.
func (e *NotInstalledError) Is(target error) bool { return target == fs.ErrNotExist }

// Hint says what to do.
func (e *NotInstalledError) Hint() string { return "llcuda-run ls shows what is installed" }

// InUseError says that a bundle is held by a running server.
type InUseError struct{ ID, Release, Dir string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("bundle %s %s is in use by a running server", e.ID, e.Release)
}

// Hint says what to do.
func (e *InUseError) Hint() string { return "stop the llcuda-run that serves it, then try again" }

// DowngradeError says that a manifest is older than one seen before from the
// same source.
type DowngradeError struct {
	Source     string
	Seen, Have int64
}

func (e *DowngradeError) Error() string {
	return fmt.Sprintf("%s: sequence %d is older than %d, which was seen before", e.Source, e.Have, e.Seen)
}

// Hint says what to do.
func (e *DowngradeError) Hint() string {
	return "a stale mirror, or somebody replays an old release: try another source (--from)"
}

// ExitCode is 4: download or verification failed.
func (e *DowngradeError) ExitCode() int { return 4 }

// readOnlyError makes EROFS look like what it is for callers: no permission to write.
type readOnlyError struct{ error }

func (e readOnlyError) Unwrap() error        { return e.error }
func (e readOnlyError) Is(target error) bool { return target == fs.ErrPermission }

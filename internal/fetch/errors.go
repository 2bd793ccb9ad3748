package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// exitCode is "download or verification failed", see the README's list.
const exitCode = 4

// MismatchError says that a source twice gave other bytes than were promised.
// The unverified file is gone, unless the size alone told.
type MismatchError struct {
	Name string
	// Want and Got are "sha256:<hex>" or "<n> bytes".
	Want, Got string
	// Page is true where a web page came in place of the file.
	Page bool
	// Changed is true where the server said that its file is not the one whose
	// beginning it sent before.
	Changed bool

	// untaken is true where the size told before a byte was taken.
	untaken bool
}

func (e *MismatchError) Error() string {
	switch {
	case e.Page:
		return fmt.Sprintf("%s is not what was published: the server sent a web page in its place (%s)", e.Name, e.Got)
	case e.Changed:
		return fmt.Sprintf("%s changed on the server while it was downloaded, twice", e.Name)
	}
	return fmt.Sprintf("%s is not what was published: want %s, got %s", e.Name, e.Want, e.Got)
}

// Hint says what to do.
func (e *MismatchError) Hint() string {
	switch {
	case e.Page:
		return "log in to this network (a hotel's or company's page?), or check the release source (--from): the address may lead nowhere"
	case e.Changed:
		return "somebody is replacing it: wait until that is done and run the same command again, or use another source (--from)"
	}
	return "nothing of it was used; a proxy or a stale mirror may have changed it: try another network or another --from"
}

// ExitCode is 4: download or verification failed.
func (e *MismatchError) ExitCode() int { return exitCode }

// UnfinishedError says that the source stopped giving bytes. What came is kept
// in Path and the next call goes on from there.
type UnfinishedError struct {
	Name, Path string
	// Done and Size are in bytes.
	Done, Size int64
	// Err is the last attempt's.
	Err error
}

func (e *UnfinishedError) Error() string {
	if e.Done == 0 {
		return fmt.Sprintf("downloading %s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("downloading %s: stopped at %d of %d bytes: %v", e.Name, e.Done, e.Size, e.Err)
}

func (e *UnfinishedError) Unwrap() error { return e.Err }

// Hint says what to do; the cause's own hint comes first.
func (e *UnfinishedError) Hint() string {
	var h interface{ Hint() string }
	if errors.As(e.Err, &h) {
		return h.Hint()
	}
	if cure := NetworkHint(e.Err); cure != "" {
		return cure
	}
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "check the release source (--from) and that its upload was complete"
	}
	if e.Done > 0 {
		return "run the same command again: it goes on where it stopped"
	}
	return "check the network and the release source (--from), then run the same command again"
}

// ExitCode is 4: download or verification failed.
func (e *UnfinishedError) ExitCode() int { return exitCode }

// SpaceError says that a disk has too little room, before anything is written.
type SpaceError struct {
	// Name is what needs the room.
	Name, Dir string
	// Need and Have are in bytes.
	Need int64
	Have uint64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s needs %s in %s, which has %s free", e.Name, megabytes(uint64(e.Need)), e.Dir, megabytes(e.Have))
}

// Hint says what to do.
func (e *SpaceError) Hint() string {
	return "free some space (llcuda-run gc), or set LLCUDA_HOME to a folder on a larger disk"
}

// ExitCode is 4: download or verification failed.
func (e *SpaceError) ExitCode() int { return exitCode }

// FileError is a local file that could not be read or written.
type FileError struct {
	// Op is "writing", "opening", …
	Op, Path string
	Err      error
}

func (e *FileError) Error() string {
	// An os error repeats the path and names the system call: its cause will do.
	err := e.Err
	var pe *fs.PathError
	var le interface{ Unwrap() error }
	if errors.As(err, &pe) {
		err = pe.Err
	} else if errors.As(err, &le) && strings.Contains(err.Error(), e.Path) {
		err = le.Unwrap()
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Path, err)
}

func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do, for the errors that have a cure.
func (e *FileError) Hint() string {
	const elsewhere = "set LLCUDA_HOME to a folder "
	switch {
	case errors.Is(e.Err, unix.ENOSPC):
		return "the disk is full: free some space (llcuda-run gc), or " + elsewhere + "on a larger disk; what was downloaded is kept"
	case errors.Is(e.Err, unix.EDQUOT):
		return "your disk quota is used up: free some space, or " + elsewhere + "outside the quota; what was downloaded is kept"
	case errors.Is(e.Err, unix.EFBIG):
		return "the file is larger than this file system or this process's limit (ulimit -f) allows: raise the limit, or " + elsewhere + "elsewhere"
	case errors.Is(e.Err, unix.EROFS):
		return "the file system is read-only: " + elsewhere + "that you can write"
	case errors.Is(e.Err, fs.ErrPermission):
		return fmt.Sprintf("make %s writable for your user, or %sthat is yours", filepath.Dir(e.Path), elsewhere)
	case errors.Is(e.Err, unix.EIO):
		return "the disk reported an error (see dmesg): " + elsewhere + "on another disk"
	}
	return fmt.Sprintf("look at %s; it may be removed and will be made again", e.Path)
}

// ExitCode is 4: download or verification failed.
func (e *FileError) ExitCode() int { return exitCode }

// NoResumeError is what an [Opener] returns whose server cannot start at an offset.
type NoResumeError struct{ Name string }

func (e *NoResumeError) Error() string {
	return e.Name + ": the server sends the file only from its start"
}

// NoResume marks the error for File.
func (e *NoResumeError) NoResume() bool { return true }

// ChangedError says that a server's file is not the one it sent before.
type ChangedError struct{ URL string }

func (e *ChangedError) Error() string { return e.URL + ": the file changed while it was downloaded" }

// OutOfRange marks the error for File: what is there is of another file.
func (e *ChangedError) OutOfRange() bool { return true }

// stallError is the watchdog's.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string { return fmt.Sprintf("no byte came for %s", e.after) }

// Timeout makes it a timeout for those who ask (net.Error's convention).
func (e *stallError) Timeout() bool { return true }

func megabytes(n uint64) string {
	switch {
	case n >= 10e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}

package release

import (
	"fmt"
	"io/fs"
	"time"
)

// NotFoundError says that a source does not have something.
type NotFoundError struct {
	// URL or path of what was asked for.
	URL string
	// Detail says more where more is known.
	Detail string
}

func (e *NotFoundError) Error() string {
	if e.Detail != "" {
		return fmt.Sprintf("%s: not found: %s", e.URL, e.Detail)
	}
	return e.URL + ": not found"
}

// Is makes it an fs.ErrNotExist, whatever the source.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Permanent says that asking again is pointless.
func (e *NotFoundError) Permanent() bool { return true }

// Hint says what to do.
func (e *NotFoundError) Hint() string {
	return "check the release source (--from) and the tag; a private GitHub repository needs a token"
}

// ExitCode is 4: download or verification failed.
func (e *NotFoundError) ExitCode() int { return 4 }

// StatusError says that a host answered with another HTTP status than hoped for.
type StatusError struct {
	URL    string
	Status int
	// Detail is what the host said of it, where it did in a form we read.
	Detail string
}

func (e *StatusError) Error() string {
	if e.Detail != "" {
		return fmt.Sprintf("%s: HTTP status %d: %s", e.URL, e.Status, e.Detail)
	}
	return fmt.Sprintf("%s: HTTP status %d", e.URL, e.Status)
}

// Hint says what to do.
func (e *StatusError) Hint() string {
	switch {
	case e.Status == 401 || e.Status == 403:
		return "the host wants a login or refuses this one: check GITHUB_TOKEN (an expired one is worse than none), or use another source (--from)"
	case e.Status >= 500 || e.Status == 408:
		return "the host has a problem: run the same command again later"
	}
	return "check the release source (--from)"
}

// Permanent says that asking again is pointless.
func (e *StatusError) Permanent() bool { return e.Status < 500 && e.Status != 408 }

// ExitCode is 4: download or verification failed.
func (e *StatusError) ExitCode() int { return 4 }

// RateLimitError says that a host wants to be asked again later.
type RateLimitError struct {
	URL string
	// After is how long to wait; 0 = the host does not say.
	After time.Duration
	// GitHub is true where the host is GitHub's API, Token where it was given one.
	GitHub, Token bool
}

func (e *RateLimitError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%s: the host limits requests: wait %s", e.URL, e.After.Round(time.Second))
	}
	return e.URL + ": the host limits requests"
}

// RetryAfter is After, for package fetch.
func (e *RateLimitError) RetryAfter() time.Duration { return e.After }

// Hint says what to do.
func (e *RateLimitError) Hint() string {
	wait := "wait some minutes"
	if e.After > 0 {
		wait = "wait " + e.After.Round(time.Second).String()
	}
	wait += " and run the same command again: what came is kept"
	switch {
	case e.GitHub && !e.Token:
		return wait + "; or give a GitHub token (GITHUB_TOKEN): without one GitHub allows 60 requests an hour to a whole network address"
	case e.GitHub:
		return wait + "; the limit is that of the token in GITHUB_TOKEN"
	}
	return wait + "; or use another source (--from)"
}

// ExitCode is 4: download or verification failed.
func (e *RateLimitError) ExitCode() int { return 4 }

// PageError says that a host sent a web page, with a status that promised a file.
type PageError struct{ URL string }

func (e *PageError) Error() string { return e.URL + ": the host sent a web page in its place" }

// Permanent says that asking again is pointless.
func (e *PageError) Permanent() bool { return true }

// Hint says what to do.
func (e *PageError) Hint() string {
	return "log in to this network (a hotel's or company's page?), or check the release source (--from): the address may lead nowhere"
}

// ExitCode is 4: download or verification failed.
func (e *PageError) ExitCode() int { return 4 }

// StallError says that a host began to answer and then sent nothing more.
type StallError struct{ For time.Duration }

func (e *StallError) Error() string { return fmt.Sprintf("the host sent no byte for %s", e.For) }

// Timeout makes it a timeout for those who ask (net.Error's convention).
func (e *StallError) Timeout() bool { return true }

// Hint says what to do.
func (e *StallError) Hint() string {
	return "check the network and the release source (--from), then run the same command again"
}

// ExitCode is 4: download or verification failed.
func (e *StallError) ExitCode() int { return 4 }

// RangeError says that a file is shorter than the offset asked for: what was
// downloaded before was of another file.
type RangeError struct {
	URL          string
	Offset, Size int64
}

func (e *RangeError) Error() string {
	if e.Size < 0 {
		return fmt.Sprintf("%s: can not go on from byte %d: the file is shorter", e.URL, e.Offset)
	}
	return fmt.Sprintf("%s: can not go on from byte %d: the file has %d bytes", e.URL, e.Offset, e.Size)
}

// Permanent says that asking again is pointless.
func (e *RangeError) Permanent() bool { return true }

// OutOfRange marks the error for package fetch: what lies on disk is of another
// file, start again from 0.
func (e *RangeError) OutOfRange() bool { return true }

// ExitCode is 4: download or verification failed.
func (e *RangeError) ExitCode() int { return 4 }

// NoResumeError says that a host sends a file from its start only: ask for
// offset 0 and skip.
type NoResumeError struct{ URL string }

func (e *NoResumeError) Error() string {
	return e.URL + ": the host sends the file only from its start"
}

// NoResume marks the error for package fetch.
func (e *NoResumeError) NoResume() bool { return true }

// ExitCode is 4: download or verification failed.
func (e *NoResumeError) ExitCode() int { return 4 }

// ChangedError says that a file is not the one whose beginning was read
// before: start again from 0.
type ChangedError struct{ URL string }

func (e *ChangedError) Error() string { return e.URL + ": the file changed while it was downloaded" }

// Changed tells package fetch why.
func (e *ChangedError) Changed() bool { return true }

// OutOfRange marks the error for package fetch, as that of RangeError does.
func (e *ChangedError) OutOfRange() bool { return true }

// ExitCode is 4: download or verification failed.
func (e *ChangedError) ExitCode() int { return 4 }

// ExistsError says that a tag is taken by something else. A published release
// is never changed.
type ExistsError struct {
	Tag, Dir string
	// Why says how the two differ.
	Why string
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("release %s exists already in %q and is not the same: %s", e.Tag, e.Dir, e.Why)
}

// Hint says what to do.
func (e *ExistsError) Hint() string {
	return "a published release is never changed: publish under a new tag"
}

// SpaceError says that a disk is too full for what is to be written.
type SpaceError struct {
	Dir string
	// Need and Free are in bytes.
	Need, Free int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%q has %d bytes free and %d are needed", e.Dir, e.Free, e.Need)
}

// Hint says what to do.
func (e *SpaceError) Hint() string {
	return fmt.Sprintf("free %d more bytes on the disk of %q, or use another folder", e.Need-e.Free, e.Dir)
}

package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	base := 100 * time.Millisecond
	for n, want := range map[int]time.Duration{1: base, 2: 2 * base, 3: 4 * base, 5: 16 * base, 6: 30 * base, 1000: 30 * base} {
		if got := backoff(base, n); got < want || got > want+want/4 {
			t.Errorf("retry %d: %s, want %s and up to a quarter", n, got, want)
		}
	}
}

func TestSmallAnswersAreTriedAgain(t *testing.T) {
	passing := errors.New("a cut")
	for _, c := range []struct {
		name  string
		err   error
		fails int
		calls int
		ok    bool
	}{
		{"a cut, once", passing, 1, 2, true},
		{"a cut, always", passing, 9, 3, false},
		{"not there", fs.ErrNotExist, 9, 1, false},
		{"a server's mistake", &StatusError{Code: 502}, 2, 3, true},
		{"a refusal", &StatusError{Code: 403}, 9, 1, false},
		{"a limit of an hour", &StatusError{Code: 429, After: time.Hour}, 9, 1, false},
		{"no answer in time", &stallError{time.Second}, 9, 1, false},
	} {
		calls, told := 0, 0
		err := Retry(t.Context(), 3, time.Microsecond, func(error, time.Duration) { told++ }, func() error {
			if calls++; calls <= c.fails {
				return c.err
			}
			return nil
		})
		if (err == nil) != c.ok || calls != c.calls || told != calls-1 {
			t.Errorf("%s: %d calls, told %d times, %v", c.name, calls, told, err)
		}
	}
}

func TestFileErrorsNameTheFileOnceAndTheCure(t *testing.T) {
	const path = "/data/llcuda/downloads/x.unverified"
	for _, c := range []struct {
		errno error
		hint  string
	}{
		{unix.ENOSPC, "disk is full"},
		{unix.EDQUOT, "quota"},
		{unix.EFBIG, "ulimit"},
		{unix.EROFS, "read-only"},
		{unix.EACCES, "make /data/llcuda/downloads writable"},
		{unix.EPERM, "make /data/llcuda/downloads writable"},
		{unix.EIO, "dmesg"},
		{errors.New("odd"), path},
	} {
		for _, err := range []error{
			c.errno,
			&fs.PathError{Op: "write", Path: path, Err: c.errno},
			&os.LinkError{Op: "rename", Old: path, New: "/y", Err: c.errno},
			fmt.Errorf("unpacking: %w", &fs.PathError{Op: "write", Path: path, Err: c.errno}),
		} {
			fe := &FileError{Op: "writing", Path: path, Err: err}
			if strings.Count(fe.Error(), path) != 1 || !strings.HasSuffix(fe.Error(), c.errno.Error()) {
				t.Errorf("message: %s", fe)
			}
			if !strings.Contains(fe.Hint(), c.hint) {
				t.Errorf("%v: hint %q lacks %q", err, fe.Hint(), c.hint)
			}
			if !errors.Is(fe, c.errno) || fe.ExitCode() != 4 {
				t.Errorf("%v: not unwrapped", err)
			}
		}
	}
}

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

func TestContentRange(t *testing.T) {
	for _, c := range []struct {
		in           string
		start, total int64
		ok           bool
	}{
		{"bytes 5-9/10", 5, 10, true},
		{"bytes 0-0/1", 0, 1, true},
		{"bytes 5-9/*", 5, -1, true},
		{"bytes */10", 0, 0, false},
		{"bytes 5-9/4", 0, 0, false},
		{"bytes -5-9/10", 0, 0, false},
		{"items 5-9/10", 0, 0, false},
		{"bytes 99999999999999999999-1/1", 0, 0, false},
		{"", 0, 0, false},
	} {
		start, total, err := contentRange(c.in)
		if (err == nil) != c.ok || start != c.start || total != c.total {
			t.Errorf("%q: %d of %d, %v", c.in, start, total, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 5-9/10", "bytes 5-9/*", "bytes */10", "bytes -", "bytes 1-/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, total, err := contentRange(s)
		if err == nil && (start < 0 || total != -1 && total < start) {
			t.Errorf("%q: %d of %d", s, start, total)
		}
	})
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"soon":                          0,
		"Mon, 23 Nov 2026 12:01:00 GMT": time.Minute,
		"Mon, 23 Nov 2026 11:59:00 GMT": 0,
	} {
		if got := parseRetryAfter(in, now); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

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

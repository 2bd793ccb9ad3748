package serve

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Restart is what to do when a server dies that had served. The zero value, and
// the default, is nothing.
type Restart struct {
	// Most is how often it is started again before somebody has to look.
	Most int
	used int
}

const (
	// defaultRestarts is how often "on-failure" without a number starts again.
	defaultRestarts = 5
	// firstPause is before the first, it doubles up to longestPause.
	firstPause, longestPause = time.Second, 30 * time.Second
	// soundAfter is how long a server must run for earlier deaths to be forgotten.
	soundAfter = 10 * time.Minute
)

// ParseRestart reads "no", "on-failure" or "on-failure:N".
func ParseRestart(s string) (Restart, error) {
	name, number, counted := strings.Cut(s, ":")
	switch {
	case name == "no" && !counted:
		return Restart{}, nil
	case name == "on-failure" && !counted:
		return Restart{Most: defaultRestarts}, nil
	case name == "on-failure":
		if n, err := strconv.Atoi(number); err == nil && n > 0 {
			return Restart{Most: n}, nil
		}
	}
	return Restart{}, fmt.Errorf("%q is no restart policy: no, on-failure or on-failure:N", s)
}

// Next says whether a server that ended with err after it ran for a while is
// started again, and after which pause. One that ended as it was asked to is not,
// be it by a hangup (its terminal was closed), nor one that never answered: a
// wrong argument or model would fail the same way again.
func (r *Restart) Next(err error, ran time.Duration) (pause time.Duration, again bool) {
	var died *DiedError
	if !errors.As(err, &died) || !died.Ready || died.Status == 0 || died.Signal == syscall.SIGHUP {
		return 0, false
	}
	if ran >= soundAfter {
		r.used = 0
	}
	if r.used >= r.Most {
		return 0, false
	}
	pause = min(firstPause<<min(r.used, 10), longestPause)
	r.used++
	return pause, true
}

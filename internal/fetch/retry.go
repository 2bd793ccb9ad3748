package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"
)

// longestPause is the longest that File waits for a server that names a time;
// beyond it the user is better told.
const longestPause = 2 * time.Minute

// backoff is the pause before retry number n (from 1): base, doubled each
// time, at most 30×base, plus up to a quarter by chance so that ten runners cut
// at once do not come back at once.
func backoff(base time.Duration, n int) time.Duration {
	pause := 30 * base
	if n <= 5 {
		pause = min(pause, base<<(n-1))
	}
	return pause + rand.N(pause/4+1)
}

// retryAfter is how long the server asked us to wait, 0 if it did not.
func retryAfter(err error) time.Duration {
	var e interface{ RetryAfter() time.Duration }
	if errors.As(err, &e) {
		return e.RetryAfter()
	}
	return 0
}

// permanent says whether trying again is pointless.
func permanent(err error) bool {
	var e interface{ Permanent() bool }
	if errors.As(err, &e) && e.Permanent() {
		return true
	}
	var cert *tls.CertificateVerificationError
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.As(err, &cert)
}

// noResume says whether the source can only start at the beginning.
func noResume(err error) bool {
	var e interface{ NoResume() bool }
	return errors.As(err, &e) && e.NoResume()
}

// outOfRange says whether the source's file ends before the offset asked for.
func outOfRange(err error) bool {
	var e interface{ OutOfRange() bool }
	return errors.As(err, &e) && e.OutOfRange()
}

// Retry calls f until it succeeds, at most tries times, with pauses that begin
// at base: for small answers, that nothing of is worth keeping. What is final or
// timed out, and what asks for a longer pause than File would make, is not tried
// again; see [Opener] for the methods that say so. retrying is told why and for
// how long it pauses; nil = nobody.
func Retry(ctx context.Context, tries int, base time.Duration, retrying func(err error, pause time.Duration), f func() error) error {
	for n := 1; ; n++ {
		err := f()
		var late interface{ Timeout() bool }
		if err == nil || ctx.Err() != nil || n >= tries || permanent(err) || errors.As(err, &late) && late.Timeout() {
			return err
		}
		pause := max(backoff(base, n), retryAfter(err))
		if pause > longestPause {
			return err
		}
		if retrying != nil {
			retrying(err, pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

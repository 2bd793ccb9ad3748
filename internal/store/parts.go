package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// turns say whose turn it is with what only one part at a time may have.
type turns struct {
	// line is closed when the part before has all its bytes: two downloads at
	// once would share one line.
	line chan struct{}
	// decoder is closed when the part before is unpacked: reading two would take
	// the memory of bundles.MemoryToRead twice, and has the same processors.
	decoder chan struct{}
}

// errEarlier ends the work on a part because one before it failed.
var errEarlier = errors.New("a part before this one failed")

// addParts brings parts that are missing, in their order: the line goes to the
// next as soon as it is free, while the one before is still unpacked, and the
// decoder likewise. Without ahead a part begins when the one before is done.
//
// A part that fails ends those behind it, whose downloads stay for the next
// time. Those before it are finished: their bytes are all there.
func (w *session) addParts(ctx context.Context, in InstallInput, parts []wantedPart, ahead bool) (map[string][]file, error) {
	in, done := in.shared(parts)
	free := make(chan struct{})
	close(free)
	turn := turns{free, free}
	files, errs := make([][]file, len(parts)), make([]error, len(parts))
	var running sync.WaitGroup
	before := ctx
	for i, part := range parts {
		here, cancel := context.WithCancelCause(before)
		defer cancel(nil)
		before = here
		mine, next := turn, turns{make(chan struct{}), make(chan struct{})}
		turn = next
		running.Go(func() {
			pass := sync.OnceFunc(func() { close(next.line) })
			err := wait(here, mine.line)
			if err == nil {
				files[i], err = w.addPart(here, part, in, mine.decoder, func(n, of int64) {
					done(i, n)
					if ahead && n == of {
						pass()
					}
				})
			}
			if err != nil {
				errs[i] = err
				cancel(errEarlier)
				return
			}
			if i+1 < len(parts) {
				runtime.GC() // the buffers that the next decoder takes are this one's
			}
			close(next.decoder)
			pass()
		})
	}
	running.Wait()
	if err := firstOf(ctx, errs); err != nil {
		return nil, err
	}
	added := make(map[string][]file, len(parts))
	for i, part := range parts {
		added[part.Digest] = files[i]
	}
	return added, nil
}

// firstOf joins what failed by itself. One error keeps its type, and what ended
// with ctx says so once.
func firstOf(ctx context.Context, errs []error) error {
	var own []error
	for _, err := range errs {
		if err != nil && !errors.Is(err, errEarlier) {
			own = append(own, err)
		}
	}
	if len(own) == 1 || len(own) > 0 && ctx.Err() != nil {
		return own[0]
	}
	return errors.Join(own...)
}

// wait waits for a turn.
func wait(ctx context.Context, turn <-chan struct{}) error {
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shared is an input whose callbacks several parts may use at once. done takes
// how many bytes of a part are here.
func (in InstallInput) shared(parts []wantedPart) (_ InstallInput, done func(part int, n int64)) {
	var mu sync.Mutex
	var total int64
	for _, p := range parts {
		total += p.Size
	}
	if retrying := in.Fetch.Retrying; retrying != nil {
		in.Fetch.Retrying = func(err error, pause time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			retrying(err, pause)
		}
	}
	have, progress := make([]int64, len(parts)), in.Progress
	return in, func(part int, n int64) {
		mu.Lock()
		defer mu.Unlock()
		have[part] = n
		var sum int64
		for _, n := range have {
			sum += n
		}
		progress(sum, total)
	}
}

// Package flush has a file flushed to the disk while it grows, so that little is
// left to flush when it is whole.
//
// A disk with a cache of its own (and so a virtual one, whose host has it) empties
// all of that when a file is flushed: an fsync after 136 MB took 60 ms there, however
// early the kernel had handed the bytes over, and one after 1 GB half a second, of
// what had come at 125 MB/s. Flushed every 8 MiB meanwhile, what is left takes 1 to 5
// (docs/performance.md, "On the disk").
//
// It promises no more than the file's own Sync at the end does, which the caller
// still has to make, and loses no error: the kernel tells of a failed write once, to
// whoever flushes next.
package flush

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
)

// Growing is a file that is written from its beginning on. Its methods are for the
// goroutine that writes; a nil one flushes nothing.
type Growing struct {
	f       *os.File
	step    int64
	begun   int64
	busy    atomic.Bool
	running sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

// New is for a file of which step bytes are flushed at once, or more where the disk
// is slower than who writes.
func New(f *os.File, step int64) *Growing { return &Growing{f: f, step: step} }

// Reached says that the first n bytes were written. It waits for nothing.
func (g *Growing) Reached(n int64) {
	if g == nil {
		return
	}
	if n < g.begun { // it was emptied, to begin anew
		g.begun = n
	}
	if n-g.begun < g.step || g.busy.Load() {
		return
	}
	g.begun = n
	g.busy.Store(true)
	g.running.Go(func() {
		defer g.busy.Store(false)
		// Who closes a file does not want it any more, or has flushed it.
		if err := g.f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.failed = errors.Join(g.failed, err)
		}
	})
}

// Wait returns when no flush runs any more. The error is that of any so far.
func (g *Growing) Wait() error {
	if g == nil {
		return nil
	}
	g.running.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

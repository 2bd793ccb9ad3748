package fetch

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// ErrStartedOver is what a follower's reader ends with where the bytes it gave
// were wrong and the download began anew.
var ErrStartedOver = errors.New("the bytes were wrong: the download starts over")

// follower is one run of Options.Follow, and what its reader may give.
type follower struct {
	ctx  context.Context
	file io.ReaderAt
	size int64

	mu sync.Mutex
	n  int64 // bytes of file that are there
	// over says why no more will come.
	over error
	// more is closed, and made anew, whenever n or over changed.
	more chan struct{}

	done chan struct{}
	err  error
}

// follow starts o.Follow behind p; nil where there is none, and a nil follower
// has nothing to say.
func follow(ctx context.Context, o Options, p *partial) *follower {
	if o.Follow == nil {
		return nil
	}
	f := &follower{ctx: ctx, file: p.f, size: o.Size, n: p.n, more: make(chan struct{}), done: make(chan struct{})}
	p.grown = func(n int64) { f.tell(func() { f.n = n }) }
	go func() {
		defer close(f.done)
		f.err = o.Follow(ctx, &tail{f: f})
	}()
	return f
}

func (f *follower) tell(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.more)
	f.more = make(chan struct{})
}

// end lets the follower read what is there if why is nil, else breaks it off,
// and waits for it. The error is the follower's.
func (f *follower) end(why error) error {
	if f == nil {
		return nil
	}
	if why != nil {
		f.tell(func() { f.over = why })
	}
	<-f.done
	return f.err
}

// tail reads a file that grows.
type tail struct {
	f   *follower
	off int64
}

func (t *tail) Read(b []byte) (int, error) {
	f := t.f
	for {
		f.mu.Lock()
		n, over, more := f.n, f.over, f.more
		f.mu.Unlock()
		switch {
		case over != nil:
			return 0, over
		case t.off == f.size:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		case t.off < n:
			got, err := f.file.ReadAt(b[:min(int64(len(b)), n-t.off)], t.off)
			t.off += int64(got)
			if got > 0 || err == nil {
				return got, nil
			}
			return 0, err
		}
		select {
		case <-more:
		case <-f.ctx.Done():
			return 0, context.Cause(f.ctx)
		}
	}
}

// followWhole runs o.Follow over a Dest that was there already.
func followWhole(ctx context.Context, o Options) error {
	if o.Follow == nil {
		return nil
	}
	f, err := os.Open(o.Dest)
	if err != nil {
		return &FileError{Op: "opening", Path: o.Dest, Err: err}
	}
	defer f.Close()
	o.Progress(o.Size, o.Size) // Follow may take long, and nobody waits for bytes any more
	return o.Follow(ctx, reader{ctx, f})
}

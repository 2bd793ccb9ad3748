package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"
)

// download fills p up to o.Size, in as many attempts as it takes.
func download(ctx context.Context, o Options, p *partial) error {
	o.Progress(p.n, o.Size)
	if p.n == o.Size {
		return nil
	}
	if err := CheckSpace(o.FreeSpace, filepath.Dir(p.path), o.Size-p.n, o.Name); err != nil {
		return err
	}
	for failed := 0; ; {
		before := p.n
		err := attempt(ctx, o, p)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("downloading %s: %w", o.Name, context.Cause(ctx))
		}
		var mismatch *MismatchError
		var file *FileError
		if errors.As(err, &mismatch) || errors.As(err, &file) {
			return err
		}
		if p.n > before {
			failed = 0
		}
		failed++
		pause := backoff(o.Backoff, failed)
		if after := retryAfter(err); after > pause {
			pause = after
		}
		if permanent(err) || failed > o.Retries || pause > longestPause {
			return &UnfinishedError{Name: o.Name, Path: p.path, Done: p.n, Size: o.Size, Err: err}
		}
		o.Log.Info("attempt failed", "file", o.Name, "bytes", p.n, "error", err, "pause", pause)
		o.Retrying(err, pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("downloading %s: %w", o.Name, context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// attempt opens the source once (twice where it cannot resume) and appends
// what comes. nil means that p has all its bytes.
func attempt(ctx context.Context, o Options, p *partial) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := time.AfterFunc(o.Stall, func() { cancel(&stallError{o.Stall}) })
	defer dog.Stop()
	defer func() {
		// A read that the watchdog broke off reports a closed body or a
		// cancelled context; the reason is more useful.
		var stall *stallError
		if err != nil && errors.As(context.Cause(ctx), &stall) {
			err = stall
		}
	}()

	var skip int64
	body, total, err := o.Open(ctx, p.n)
	if noResume(err) && p.n > 0 {
		o.Log.Info("server cannot resume, skipping what is there", "file", o.Name, "bytes", p.n)
		skip = p.n
		body, total, err = o.Open(ctx, 0)
	}
	if err != nil {
		if outOfRange(err) {
			return &MismatchError{Name: o.Name, Want: sizeText(o.Size), Got: fmt.Sprintf("at most %d bytes", p.n)}
		}
		return err
	}
	shut := sync.OnceValue(body.Close)
	defer func() { _ = shut() }()
	defer context.AfterFunc(ctx, func() { _ = shut() })()

	if total >= 0 && total != o.Size {
		return &MismatchError{Name: o.Name, Want: sizeText(o.Size), Got: sizeText(total)}
	}
	return receive(o, p, body, skip, func() { dog.Reset(o.Stall) })
}

// receive skips the bytes that p already has and appends the rest.
func receive(o Options, p *partial, body io.Reader, skip int64, alive func()) error {
	buf := make([]byte, 256<<10)
	for p.n < o.Size {
		n, err := body.Read(buf[:min(int64(len(buf)), skip+o.Size-p.n)])
		if n > 0 {
			alive()
			fresh := buf[:n]
			k := min(skip, int64(n))
			fresh, skip = fresh[k:], skip-k
			if werr := p.write(fresh); werr != nil {
				return werr
			}
			o.Progress(p.n, o.Size)
		}
		switch {
		case p.n == o.Size:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return nil
}

func sizeText(n int64) string { return fmt.Sprintf("%d bytes", n) }

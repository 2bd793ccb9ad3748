package fetch

import (
	"bytes"
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
	may := o.OpenRange != nil && o.Connections > 1
	for failed := 0; ; {
		before := p.n
		var slow *slowError
		err := attempt(ctx, o, p, may)
		if errors.As(err, &slow) {
			err = several(ctx, o, p, slow.rate)
			if errors.Is(err, errNotFaster) || noResume(err) {
				o.Log.Info("one connection will do", "file", o.Name, "because", err)
				may, failed = false, 0
				continue
			}
		}
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
// what comes. nil means that p has all its bytes; a *slowError that several
// connections are worth a try, where the caller may.
func attempt(ctx context.Context, o Options, p *partial, may bool) error {
	return Watched(ctx, o.Stall, func(ctx context.Context, alive func()) error {
		var skip int64
		body, total, err := o.Open(ctx, p.n)
		if noResume(err) && p.n > 0 {
			o.Log.Info("server cannot resume, skipping what is there", "file", o.Name, "bytes", p.n)
			skip = p.n
			body, total, err = o.Open(ctx, 0)
		}
		if err != nil {
			return unfit(o, p.n, err)
		}
		body, shut := shutting(ctx, body)
		defer shut()
		if err := checkTotal(o, total, body); err != nil {
			return err
		}
		meter := o.pace.meter(o.Size, may && skip == 0)
		return receive(o, p, body, skip, func(n int) error { alive(); return meter.count(n, o.Size-p.n) })
	})
}

// Watched runs f until it ends, or until it has not called alive for stall: then its
// ctx ends, and the error says for how long no byte came (it is a Timeout).
func Watched(ctx context.Context, stall time.Duration, f func(ctx context.Context, alive func()) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := time.AfterFunc(stall, func() { cancel(&stallError{stall}) })
	defer dog.Stop()
	err := f(ctx, func() { dog.Reset(stall) })
	// A read that the watchdog broke off reports a closed body or a cancelled
	// context; the reason is more useful.
	var stalled *stallError
	if err != nil && errors.As(context.Cause(ctx), &stalled) {
		return stalled
	}
	return err
}

// shutting closes body when ctx ends, or when shut is called; once.
func shutting(ctx context.Context, body io.ReadCloser) (r io.ReadCloser, shut func()) {
	once := sync.OnceValue(body.Close)
	stop := context.AfterFunc(ctx, func() { _ = once() })
	return body, func() { stop(); _ = once() }
}

// unfit turns an Opener's word that its file is another one into a mismatch.
func unfit(o Options, at int64, err error) error {
	if !outOfRange(err) {
		return err
	}
	m := &MismatchError{Name: o.Name, Want: sizeText(o.Size), Got: fmt.Sprintf("at most %d bytes", at)}
	var changed *ChangedError
	var other interface{ Changed() bool }
	if errors.As(err, &changed) || errors.As(err, &other) && other.Changed() {
		m.Got, m.Changed = "a file that changed between two requests", true
	}
	return m
}

// checkTotal refuses a file of another length before its bytes are taken. What
// is sent in place of a file is often a page for people: body tells.
func checkTotal(o Options, total int64, body io.Reader) error {
	if total < 0 || total == o.Size {
		return nil
	}
	head := make([]byte, pageHead)
	n, _ := io.ReadFull(body, head) // less is fine: it is only looked at
	return &MismatchError{Name: o.Name, Want: sizeText(o.Size), Got: sizeText(total), Page: isPage(head[:n]), untaken: true}
}

// pageHead is how many bytes tell a page: a comment or two may come first.
const pageHead = 512

// isPage says that bytes begin as HTML does.
func isPage(head []byte) bool {
	head = bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html")) ||
		bytes.HasPrefix(head, []byte("<head")) || bytes.HasPrefix(head, []byte("<!--")) && bytes.Contains(head, []byte("<html"))
}

// receive skips the bytes that p already has and appends the rest. came is told
// of every read; its error ends the attempt.
func receive(o Options, p *partial, body io.Reader, skip int64, came func(n int) error) error {
	buf := make([]byte, 256<<10)
	for p.n < o.Size {
		n, err := body.Read(buf[:min(int64(len(buf)), skip+o.Size-p.n)])
		var enough error
		if n > 0 {
			fresh := buf[:n]
			k := min(skip, int64(n))
			fresh, skip = fresh[k:], skip-k
			if werr := p.write(fresh); werr != nil {
				return werr
			}
			o.Progress(p.n, o.Size)
			enough = came(n)
		}
		switch {
		case p.n == o.Size:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case enough != nil:
			return enough
		}
	}
	return nil
}

func sizeText(n int64) string { return fmt.Sprintf("%d bytes", n) }

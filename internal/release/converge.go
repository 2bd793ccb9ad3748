package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// abreast is how many files are sent at once.
const abreast = 4

// converge makes a draft hold exactly the wanted files, last of all those that say
// what it is. It ends only when GitHub's own list agrees in name, state, size and
// digest of every one.
func (p *publication) converge(ctx context.Context, draft *hubRelease, first, last []file) error {
	want := append(append([]file{}, first...), last...)
	var have []Asset
	if len(draft.Assets) > 0 { // as listed: older than what is there
		var err error
		if have, err = p.h.assets(ctx, draft.ID); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		d := compare(want, have)
		if len(d.missing)+len(d.stray) == 0 {
			bad, err := p.readUnsure(ctx, draft, want, d.unsure)
			if err != nil || len(bad) == 0 {
				return err
			}
			d.stray, d.missing = bad, named(want, bad)
		}
		if try > tries {
			return fmt.Errorf("after %d passes GitHub still lacks %d files and has %d that are not wanted: run the same command again", tries, len(d.missing), len(d.stray))
		}
		for _, a := range d.stray {
			if err := p.h.removeAsset(ctx, a); err != nil {
				return err
			}
		}
		if err := p.send(ctx, draft, d.missing, last); err != nil {
			return err
		}
		var err error
		if have, err = p.h.assets(ctx, draft.ID); err != nil {
			return err
		}
	}
}

// named are the files with the names of assets.
func named(files []file, assets []Asset) []file {
	var out []file
	for _, f := range files {
		for _, a := range assets {
			if a.Name == f.name {
				out = append(out, f)
			}
		}
	}
	return out
}

// readUnsure settles assets without a digest: GitHub may say it a little later;
// where it does not (an old GitHub Enterprise Server), they are read back.
func (p *publication) readUnsure(ctx context.Context, draft *hubRelease, want []file, unsure []Asset) (bad []Asset, err error) {
	for try := 1; len(unsure) > 0 && try <= 2; try++ {
		if err := p.h.pace.clock.Wait(ctx, time.Duration(try)*time.Second); err != nil {
			return nil, err
		}
		have, err := p.h.assets(ctx, draft.ID)
		if err != nil {
			return nil, err
		}
		d := compare(want, have)
		if len(d.missing)+len(d.stray) > 0 {
			return append(d.stray, unsure...), nil
		}
		unsure = d.unsure
	}
	for _, a := range unsure {
		fmt.Fprintf(p.in.Log, "reading %s back: GitHub does not say its digest\n", a.Name)
		got, err := p.h.readBack(ctx, a)
		if err != nil {
			return nil, err
		}
		if a.Digest = &got; !fits(a, named(want, []Asset{a})[0]) {
			bad = append(bad, a)
		}
	}
	return bad, nil
}

// send uploads files, several at once, and after them one by one those that are
// last. Failures are joined, each with its file.
func (p *publication) send(ctx context.Context, draft *hubRelease, missing, last []file) error {
	isLast := map[string]bool{}
	for _, f := range last {
		isLast[f.name] = true
	}
	var failed atomic.Bool
	var mu sync.Mutex
	var faults []error
	one := func(f file) {
		if failed.Load() {
			return // one refusal is a refusal of all: what is missing is found by the next run
		}
		p.in.Progress(f.name, "uploading", 0, f.size)
		err := p.h.put(ctx, draft, f, func(n int64) { p.in.Progress(f.name, "uploading", n, f.size) })
		p.in.Progress(f.name, "", f.size, f.size)
		if err != nil {
			failed.Store(true)
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, err)
			return
		}
		fmt.Fprintf(p.in.Log, "uploaded %s\n", f.name)
	}
	var g errgroup.Group
	g.SetLimit(abreast)
	for _, f := range missing {
		if !isLast[f.name] {
			g.Go(func() error { one(f); return nil })
		}
	}
	_ = g.Wait()
	for _, f := range missing {
		if isLast[f.name] {
			one(f)
		}
	}
	return errors.Join(faults...)
}

// safeWriter lets uploads speak at once.
type safeWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *safeWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

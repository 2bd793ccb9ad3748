//go:build linux && amd64

package main

import (
	"sync/atomic"
	"time"

	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/internal/fetch"
)

// shown tells people of an install: of the download while there is one, then of
// what is still to be unpacked.
type shown struct {
	progress *cli.Progress
	name     string
	whole    atomic.Bool // all is downloaded
}

func (w *shown) downloaded(done, total int64) {
	w.whole.Store(done == total)
	w.progress.Set(w.name, "downloading", done, total, cli.Bytes)
}

// unpacked is called beside downloaded.
func (w *shown) unpacked(_ string, done, total int64) {
	if w.whole.Load() {
		w.progress.Set(w.name, "unpacking", done, total, cli.Bytes)
	}
}

// patience says on stderr why a download pauses.
func patience(p *cli.Progress) fetch.Options {
	return fetch.Options{Retrying: func(err error, pause time.Duration) {
		p.Printf("llcuda-run: %v; trying again in %s", err, pause.Round(100*time.Millisecond))
	}}
}

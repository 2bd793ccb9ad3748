package bundles

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// How says what the bytes of a frame follow from, besides what it holds: two parts
// whose frames were made alike say the same.
func (o PackOptions) How() (string, error) {
	c, err := o.compression()
	return fmt.Sprintf("libzstd %s, level %d, window 2^%d, frames of %d", libzstdVersion(), c.level, c.windowLog, c.frame), err
}

// earlier is a part that was packed before: where its frames are, by the SHA-256 of
// what they hold, which was decompressed to know it.
type earlier struct {
	r      io.ReaderAt
	frames map[[sha256.Size]byte]frameAt
}

type frameAt struct {
	at int64
	n  int
}

// readEarlier reads a part's frames, as many as workers at the same time. What is no
// part, or damaged, has fewer of them.
func readEarlier(ctx context.Context, r io.ReaderAt, workers int) *earlier {
	e := &earlier{r: r, frames: map[[sha256.Size]byte]frameAt{}}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers), zstd.WithDecoderMaxMemory(frameSize), zstd.WithDecoderMaxWindow(frameSize))
	if err != nil {
		return e
	}
	defer z.Close()
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		slots   = make(chan struct{}, workers)
	)
	defer running.Wait() // before z is closed
	var at int64
	list, rest := readList(io.NewSectionReader(r, 0, math.MaxInt64))
	if list != nil {
		at = listHeader + int64(len(list))
	}
	for ctx.Err() == nil {
		var head [sizeFrame]byte
		if _, err := io.ReadFull(rest, head[:]); err != nil {
			return e
		}
		n, ok := readSizeFrame(head[:])
		if !ok || n > maxPacked(frameSize) {
			return e
		}
		packed := make([]byte, n)
		if _, err := io.ReadFull(rest, packed); err != nil {
			return e
		}
		if _, ok := standsAlone(packed, n, frameSize); !ok {
			return e
		}
		here := frameAt{at + sizeFrame, n}
		at = here.at + int64(n)
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			b, err := z.DecodeAll(packed, nil)
			if err != nil {
				return
			}
			sum := sha256.Sum256(b)
			mu.Lock()
			e.frames[sum] = here
			mu.Unlock()
		})
	}
	return e
}

// frame is one that holds in, nil where there is none.
func (e *earlier) frame(in []byte) []byte {
	if e == nil {
		return nil
	}
	f, ok := e.frames[sha256.Sum256(in)]
	if !ok {
		return nil
	}
	b := make([]byte, f.n)
	if _, err := io.ReadFull(io.NewSectionReader(e.r, f.at, int64(f.n)), b); err != nil {
		return nil
	}
	return b
}

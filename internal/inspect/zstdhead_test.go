package inspect

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// pack compresses at a level; plain says that this is done without a checksum.
func packZstd(t testing.TB, plain []byte, level zstd.EncoderLevel, checksum bool) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(checksum), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(plain, nil)
}

func zstdPrefix(t testing.TB, b []byte, n int) ([]byte, error) {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, int64(n)))
}

func TestTheHeadOfAZstdFrameIsWhatTheLibraryDecodes(t *testing.T) {
	var z zstdHead
	known := 0
	for name, plain := range texts() {
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
			packed := packZstd(t, plain, level, level == zstd.SpeedDefault)
			for _, n := range []int{1, 64, 512, 4096, 60000} {
				got, err := z.decode(bytes.NewReader(packed), 0, int64(len(packed)), n)
				if errors.Is(err, errZstdHead) {
					continue
				}
				known++
				if err != nil || !bytes.Equal(got, plain[:min(n, len(plain))]) {
					t.Fatalf("%s, %v, %d bytes: error %v, %d bytes that differ", name, level, n, err, len(got))
				}
			}
		}
	}
	if known < 80 {
		t.Errorf("only %d of 100 heads were decoded without the library", known)
	}
}

func FuzzZstdHead(f *testing.F) {
	for _, plain := range texts() {
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedBestCompression} {
			f.Add(packZstd(f, plain[:min(len(plain), 20000)], level, false), uint16(600))
		}
	}
	var z zstdHead
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		got, err := z.decode(bytes.NewReader(b), 0, int64(len(b)), int(n))
		if err != nil {
			return
		}
		// The library looks at the whole block and finds damage behind the head.
		if want, err := zstdPrefix(t, b, int(n)); err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes differ from the library's %d", len(got), len(want))
		}
	})
}

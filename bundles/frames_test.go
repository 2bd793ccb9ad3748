package bundles

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
)

const testFrame = 64 << 10

// eachUnpacker are the decoders of this program and of one without libzstd.
var eachUnpacker = map[string]func() frameUnpacker{"as built": newFrameUnpacker, "without libzstd": newGoUnpacker}

// manyFrames is a part of frames of 64 KiB, and its tree.
func manyFrames(t testing.TB) (dir string, data []byte, p Packed) {
	t.Helper()
	dir = t.TempDir()
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 20*testFrame)
	for i := range b {
		b[i] = byte(r.Uint32()) >> 3
	}
	must(t, os.WriteFile(filepath.Join(dir, "libggml-cuda.so"), b, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "README"), []byte("small"), 0o644))
	var out bytes.Buffer
	p, err := Pack(context.Background(), dir, &out, PackOptions{Level: 1, frame: testFrame})
	must(t, err)
	return dir, out.Bytes(), p
}

// framesOf cuts a part behind its list where its size frames say, as pzstd would.
func framesOf(t testing.TB, data []byte) (frames [][]byte) {
	t.Helper()
	_, data = listOf(t, data)
	for len(data) > 0 {
		n, ok := readSizeFrame(data)
		if !ok || len(data) < sizeFrame+n {
			t.Fatalf("after %d frames there is no size frame, or it promises too much", len(frames))
		}
		frames = append(frames, data[sizeFrame:sizeFrame+n])
		data = data[sizeFrame+n:]
	}
	return frames
}

func TestEachFrameOfAPartStandsAlone(t *testing.T) {
	dir, data, p := manyFrames(t)
	z, err := zstd.NewReader(nil)
	must(t, err)
	defer z.Close()
	var whole []byte
	frames := framesOf(t, data)
	for i, f := range frames {
		b, err := z.DecodeAll(f, nil)
		must(t, err)
		if last := i == len(frames)-1; len(b) != testFrame && !last || len(b) > testFrame {
			t.Errorf("frame %d holds %d bytes, want %d", i, len(b), testFrame)
		}
		whole = append(whole, b...)
	}
	if len(frames) != 21 {
		t.Errorf("%d frames, want 21", len(frames))
	}
	// A reader that knows nothing of size frames has the same.
	must(t, z.Reset(bytes.NewReader(data)))
	streamed, err := io.ReadAll(z)
	must(t, err)
	if !bytes.Equal(streamed, whole) {
		t.Error("as a stream the part holds something else")
	}
	if d, err := TreeDigest(dir); err != nil || d != p.Contents || p.Size != int64(len(data)) {
		t.Errorf("Packed %+v, of a tree of %s (%v) in %d bytes", p, d, err, len(data))
	}
}

func TestAPartIsReadAlikeHoweverItsFramesAreMade(t *testing.T) {
	_, data, p := manyFrames(t)
	z, err := zstd.NewReader(bytes.NewReader(data))
	must(t, err)
	defer z.Close()
	plain, err := io.ReadAll(z)
	must(t, err)
	frames := framesOf(t, data)
	_, rest := listOf(t, data)
	var bare, mixed, wrong []byte
	for _, f := range frames {
		bare = append(bare, f...)
		wrong = append(appendSizeFrame(wrong, len(f)+1), f...)
	}
	// Two frames of ours, and the rest as another program would write it.
	for _, f := range frames[:2] {
		mixed = append(appendSizeFrame(mixed, len(f)), f...)
	}
	mixed = append(mixed, squeeze(t, plain[2*testFrame:])...)
	for name, archive := range map[string][]byte{
		"as packed":           data,
		"without its list":    rest,
		"with an empty list":  append([]byte{0x51, 0x2A, 0x4D, 0x18, 0, 0, 0, 0}, rest...),
		"without size frames": bare,
		"one frame":           squeeze(t, plain),
		"a stream behind two": mixed,
		"pzstd's, whose frames do not say what they hold": append(appendSizeFrame(nil, len(squeeze(t, plain))), squeeze(t, plain)...),
		"a skippable frame of another kind":               append([]byte{0x51, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 'h', 'i'}, data...),
		"4 GiB promised, which nobody sets aside":         append(binary.LittleEndian.AppendUint32(slices.Clone(rest[:8]), 1<<32-1), rest[sizeFrame:]...),
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]func() io.Reader{
				"at once":      func() io.Reader { return bytes.NewReader(archive) },
				"byte by byte": func() io.Reader { return iotest.OneByteReader(bytes.NewReader(archive)) },
				"with the end": func() io.Reader { return iotest.DataErrReader(bytes.NewReader(archive)) },
			} {
				for with, unpacker := range eachUnpacker {
					o := UnpackOptions{MaxBytes: p.Unpacked}
					o.decoder = newFrameDecoderWith(o, unpacker)
					got, err := Unpack(t.Context(), r(), filepath.Join(t.TempDir(), "new"), o)
					if err != nil || got != p.Contents {
						t.Errorf("%s, %s: %s, %v; want %s", how, with, got, err, p.Contents)
					}
					o.decoder.Close()
				}
			}
		})
	}
	if _, err := Walk(t.Context(), bytes.NewReader(wrong), UnpackOptions{}, drop); err == nil {
		t.Error("size frames that are wrong by one byte pass")
	}
}

func TestFramesThatLieAreRefused(t *testing.T) {
	_, data, _ := manyFrames(t)
	frames := framesOf(t, data)
	_, rest := listOf(t, data)
	change := func(frame int, f func(b []byte) []byte) (out []byte) {
		for i, b := range frames {
			if b = slices.Clone(b); i == frame {
				b = f(b)
			}
			out = append(appendSizeFrame(out, len(b)), b...)
		}
		return out
	}
	// The header of a frame of ours: magic number, descriptor, and the size of the
	// contents less 256 in two bytes, where that is its form.
	const sizeAt = 5
	for name, archive := range map[string][]byte{
		"longer contents than said":  change(3, func(b []byte) []byte { b[sizeAt]--; return b }),
		"shorter contents than said": change(3, func(b []byte) []byte { b[sizeAt]++; return b }),
		"a frame left out":           change(3, func([]byte) []byte { return nil }),
		"a frame twice":              change(3, func(b []byte) []byte { return append(b, b...) }),
		"nonsense for a frame":       change(3, func(b []byte) []byte { return bytes.Repeat([]byte{1}, len(b)) }),
		"a frame that is cut":        change(3, func(b []byte) []byte { return b[:len(b)/2] }),
		"cut in its list":            data[:listHeader+20],
		"cut behind its list":        data[:len(data)-len(rest)],
		"cut in a size frame":        data[:len(data)-len(frames[20])-5],
		"cut behind a size frame":    data[:len(data)-len(frames[20])],
		"cut behind a frame":         data[:len(data)-len(frames[20])-sizeFrame],
	} {
		t.Run(name, func(t *testing.T) {
			for with, unpacker := range eachUnpacker {
				o := UnpackOptions{decoder: newFrameDecoderWith(UnpackOptions{}, unpacker)}
				if _, err := Walk(t.Context(), bytes.NewReader(archive), o, drop); err == nil {
					t.Errorf("accepted, %s", with)
				}
				o.decoder.Close()
			}
		})
	}
}

func TestAFrameAskedForMoreThanTheWindowAllowsIsRefused(t *testing.T) {
	_, data, _ := manyFrames(t)
	_, err := Walk(t.Context(), bytes.NewReader(data), UnpackOptions{MaxWindow: testFrame / 2}, drop)
	var h *HostileError
	if !errors.As(err, &h) || !strings.Contains(h.Reason, "window") {
		t.Errorf("error %v, want a *HostileError about the window", err)
	}
}

func TestAReaderThatFailsIsNamedAndLeavesNothingRunning(t *testing.T) {
	_, data, _ := manyFrames(t)
	before := runtime.NumGoroutine()
	lost := errors.New("connection lost")
	for n := 0; n < len(data); n += 5000 {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(lost))
		if _, err := Walk(t.Context(), r, UnpackOptions{}, drop); !errors.Is(err, lost) {
			t.Fatalf("behind %d bytes: error %v, want the reader's", n, err)
		}
	}
	stop := errors.New("seen enough")
	for range 20 {
		if _, err := Walk(t.Context(), bytes.NewReader(data), UnpackOptions{}, func(Entry, io.Reader) error { return stop }); !errors.Is(err, stop) {
			t.Fatalf("error %v, want the visitor's", err)
		}
	}
	nothingRuns(t, before)
}

// nothingRuns waits until no more goroutines are there than before: one that said
// its last word ends a moment later.
func nothingRuns(t *testing.T, before int) {
	t.Helper()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestADecoderTakesOneArchiveAfterTheOther(t *testing.T) {
	_, data, p := manyFrames(t)
	stream := append([]byte{0x51, 0x2A, 0x4D, 0x18, 0, 0, 0, 0}, data...)
	for with, unpacker := range eachUnpacker {
		t.Run(with, func(t *testing.T) {
			o := UnpackOptions{MaxBytes: p.Unpacked}
			d := newFrameDecoderWith(o, unpacker)
			defer d.Close()
			o.decoder = d
			stop := errors.New("seen enough")
			for range 10 {
				for _, archive := range [][]byte{data, stream, data[:len(data)/2], nil} {
					if _, err := Walk(t.Context(), bytes.NewReader(archive), o, func(Entry, io.Reader) error { return stop }); err == nil {
						t.Fatal("stopped without an error")
					}
				}
				for _, archive := range [][]byte{data, stream} {
					if got, err := Walk(t.Context(), bytes.NewReader(archive), o, drop); err != nil || got != p.Contents {
						t.Fatalf("%s, %v; want %s", got, err, p.Contents)
					}
				}
			}
			if w := d.workers; len(w.used)+len(w.unmade) != cap(w.used) {
				t.Errorf("of %d workers %d came back, and %d were never needed", cap(w.used), len(w.used), len(w.unmade))
			}
		})
	}
}

// fullDisk takes so many bytes and then fails.
type fullDisk struct {
	left int
	err  error
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.left -= len(b); d.left < 0 {
		return 0, d.err
	}
	return len(b), nil
}

func TestPackSaysWhatItsWriterSaid(t *testing.T) {
	dir, data, _ := manyFrames(t)
	full := errors.New("no space left")
	before := runtime.NumGoroutine()
	for _, left := range []int{0, 5, sizeFrame, len(data) / 2, len(data) - 1} {
		for _, workers := range []int{1, 8} {
			_, err := Pack(t.Context(), dir, &fullDisk{left, full}, PackOptions{Level: 1, Workers: workers, frame: testFrame})
			if !errors.Is(err, full) {
				t.Errorf("%d workers, room for %d bytes: error %v", workers, left, err)
			}
		}
	}
	nothingRuns(t, before)
}

func TestPackEndsInTheMiddleOfAFrame(t *testing.T) {
	dir, _, _ := manyFrames(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Pack(ctx, dir, io.Discard, PackOptions{Level: 1, frame: testFrame, Progress: func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

// FuzzFrames: what is read frame by frame is what any zstd reads, or an error.
func FuzzFrames(f *testing.F) {
	dir := f.TempDir()
	must(f, os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(strings.Repeat("as is, ", 600)), 0o644))
	var part bytes.Buffer
	_, err := Pack(context.Background(), dir, &part, PackOptions{Level: 1, frame: 2 << 10})
	must(f, err)
	data := part.Bytes()
	f.Add(data)
	f.Add(data[sizeFrame:])
	_, rest := listOf(f, data)
	f.Add(rest)
	f.Add(rest[sizeFrame:])
	f.Add(append(slices.Clone(data[:len(data)-len(rest)]), data...))
	f.Add(data[:len(data)-5])
	f.Add(append(slices.Clone(data), data...))
	f.Add(append(slices.Clone(data), squeeze(f, []byte("a stream behind them"))...))
	f.Add(append(appendSizeFrame(nil, 100), squeeze(f, bytes.Repeat([]byte{7}, 99))...))
	const most = 1 << 20
	f.Fuzz(func(t *testing.T, data []byte) {
		for with, unpacker := range eachUnpacker {
			d := newFrameDecoderWith(UnpackOptions{MaxWindow: most}, unpacker)
			defer d.Close()
			r := d.open(bytes.NewReader(data))
			got, err := io.ReadAll(io.LimitReader(r, most))
			r.stop()
			if w := d.workers; len(w.used)+len(w.unmade) != cap(w.used) {
				t.Errorf("%s: of %d workers %d came back, and %d were never needed", with, cap(w.used), len(w.used), len(w.unmade))
			}
			if err != nil {
				continue
			}
			z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderMaxWindow(most), zstd.WithDecoderConcurrency(1))
			must(t, err)
			defer z.Close()
			if want, err := io.ReadAll(io.LimitReader(z, most)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, as a stream %d (%v)", with, len(got), len(want), err)
			}
		}
	})
}

package inspect_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/waqasm86/llcuda/internal/inspect"
)

// fatEntry is an entry of a container with a payload.
func fatEntry(kind uint16, sm uint32, flags uint64, payload []byte, plain int) []byte {
	size := len(payload)
	compressed := uint32(0)
	if flags&0xf000 != 0 {
		compressed = uint32(size)
	}
	padded := append(bytes.Clone(payload), make([]byte, (8-size%8)%8)...)
	return append(le(nil, kind, uint16(0x0101), uint32(64), uint64(len(padded)), compressed, uint32(0), uint16(4), uint16(8), sm,
		uint32(0), uint32(0), flags, uint64(0), uint64(plain)), padded...)
}

// bomb is a cubin's header and then zeros, plain bytes in all, packed.
func bomb(t testing.TB, how string, plain int64) []byte {
	t.Helper()
	head := bytes.Clone(samples(t)["12.5.40-80.cubin"][:64])
	copy(head[40:], le(nil, uint64(plain-1000))) // sections at the end
	src := io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, plain-64))
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "zlib":
		w = zlib.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case "lz4-frame":
		w = lz4.NewWriter(&b)
	case "lz4":
		// One match that repeats a zero: each byte of its length is 255 more.
		b.WriteByte(0xff)
		rest := len(head) + 1 - 15
		for ; rest >= 255; rest -= 255 {
			b.WriteByte(255)
		}
		b.WriteByte(byte(rest))
		b.Write(append(head, 0))
		b.Write([]byte{1, 0})
		b.Write(bytes.Repeat([]byte{255}, int(plain/255)))
		b.Write([]byte{0, 0})
		return b.Bytes()
	}
	if _, err := io.Copy(struct{ io.Writer }{w}, src); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// refused reads hostile bytes and holds the reader to an error that says so, to
// little time, and to little memory.
func refused(t *testing.T, b []byte, says string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), "file")
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	var format *inspect.FormatError
	if !errors.As(err, &format) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want a FormatError that says %q", err, says)
	}
	if took > 2*time.Minute { // seconds, on a machine that does little else
		t.Errorf("it took %v", took)
	}
	if held := int64(after.HeapSys) - int64(before.HeapSys); held > 48<<20 {
		t.Errorf("it took %d MB of memory", held>>20)
	}
}

func TestABombGoesOffWithinABudget(t *testing.T) {
	const plain = 48 << 20
	for how, flag := range map[string]uint64{"zlib": 0x1000, "lz4": 0x2000, "lz4-frame": 0x4000, "zstd": 0x8000} {
		t.Run(how, func(t *testing.T) {
			packed := bomb(t, how, plain)
			e := fatEntry(2, 80, 0x11|flag, packed, plain)
			// What it defines stands at its end, and there are many in one file.
			if size := len(packed); size > plain/200 {
				t.Fatalf("a bomb of %d bytes", size)
			}
			refused(t, container(e, e, e, e, e, e, e, e), "become more than")
		})
	}
	text := ".version 8.4\n.target sm_80\n.address_size 64\n" + strings.Repeat("// nothing\n", 8<<20/11)
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e := fatEntry(1, 80, 0x11|0x1000, b.Bytes(), len(text))
	refused(t, container(bytes.Repeat(e, 16)), "become more than")
}

func TestSectionsThatOverlapAreRefused(t *testing.T) {
	b := builder{}
	data := testSection{".rodata", progbits, allocated, bytes.Repeat([]byte("/home/a/b.c "), 2000)}
	for range 200 {
		b.sections = append(b.sections, testSection{".rodata", progbits, allocated, nil})
	}
	b.sections = append(b.sections, data)
	file := b.build()
	// All of them now cover the same bytes.
	table, at := file[len(file)-64*(len(b.sections)+7):], bytes.Index(file, data.data)
	for i := range len(table) / 64 {
		if h := table[64*i:]; number(h[4:8]) == progbits {
			copy(h[24:], le(nil, uint64(at), uint64(len(data.data))))
		}
	}
	refused(t, file, "overlap")
}

func TestWrappersThatPointIntoEachOthersContainersAreBounded(t *testing.T) {
	// Every 16 bytes a container that holds all that come after: each entry is a
	// header without a payload.
	const n = 3000
	var body []byte
	for range n {
		body = append(body, fatEntry(8, 80, 0x11, nil, 0)...)
	}
	var nested, wrappers []byte
	for i := range n {
		nested = append(nested, le(nil, uint32(0xba55ed50), uint16(1), uint16(16+16*(n-1-i)), uint64(len(body)))...)
	}
	nested = append(nested, body...)
	b := builder{sections: []testSection{{".data", progbits, allocated, nested}, {".nvFatBinSegment", progbits, allocated, make([]byte, 24*n)}}}
	at := bytes.Index(b.build(), nested)
	for i := range n {
		wrappers = le(wrappers, uint32(0x466243b1), uint32(1), uint64(at+16*i), uint64(0))
	}
	b.sections[1].data = wrappers
	refused(t, b.build(), "entries in all")
}

func TestAVersionListThatLoopsIsBounded(t *testing.T) {
	b := builder{versions: []string{"GLIBC_2.34", "GLIBC_2.2.5"}}
	file := b.build()
	need := bytes.Index(file, le(nil, uint16(1), uint16(2)))
	if need < 0 {
		t.Fatal("no version requirement in the file")
	}
	for name, change := range map[string]func(f []byte){
		"a requirement that comes after itself": func(f []byte) { copy(f[need+12:], le(nil, uint32(0xfffffff0))) },
		"a list that points far back":           func(f []byte) { copy(f[need+16+12:], le(nil, uint32(0xfffffff0))) },
		"as many as 64 bits hold": func(f []byte) {
			copy(f[bytes.Index(f, le(nil, uint64(0x6fffffff), uint64(1)))+8:], le(nil, uint64(1<<63)))
		},
	} {
		f := bytes.Clone(file)
		change(f)
		start := time.Now()
		mustSurvive(t, f)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: %v", name, took)
		}
	}
	// Requirements without versions of their own, one byte after the other.
	long := builder{sections: []testSection{{".x", progbits, allocated, bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 20000)}}, versions: []string{"GLIBC_2.34"}}
	f := long.build()
	at := bytes.Index(f, bytes.Repeat([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 10))
	tag := bytes.Index(f, le(nil, uint64(0x6ffffffe)))
	copy(f[tag+8:], le(nil, uint64(at), uint64(0x6fffffff), uint64(1<<62)))
	mustSurvive(t, f)
}

func TestArchivesWithBadSizesAreRefused(t *testing.T) {
	good := archive("a.o/", samples(t)["a.o"], "b.o/", samples(t)["r1.o"])
	for name, size := range map[string]string{"a size beyond the file": "999999", "a size of 63 bits": "9223372036", "a negative size": "-5", "no size": "", "letters": "12x4", "a size that makes a member of the next": "7"} {
		b := bytes.Clone(good)
		copy(b[8+48:8+58], fmt.Sprintf("%-10s", size))
		_, err := inspect.Reader(bytes.NewReader(b), int64(len(b)), "file")
		var format *inspect.FormatError
		if !errors.As(err, &format) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEveryHeaderByteOfAContainerMayLie(t *testing.T) {
	for _, name := range []string{"13.0.88-100f-size.fatbin", "12.4.131-lz4-frame.fatbin", "12.4.131-zlib.fatbin", "11.8.89.fatbin"} {
		b := bytes.Clone(samples(t)[name])
		for i := 0; i < 16+112; i++ {
			was := b[i]
			for _, v := range []byte{0, 1, was ^ 1, was ^ 2, was ^ 8, was ^ 0x10, was ^ 0x80, was + 1, was - 1, 0xff} {
				b[i] = v
				mustSurvive(t, b)
			}
			b[i] = was
		}
	}
}

func TestSizesThatOverflowAreRefused(t *testing.T) {
	huge := []uint64{1<<64 - 1, 1<<64 - 16, 1 << 63, 1<<63 - 1, 1 << 40}
	for _, v := range huge {
		b := bytes.Clone(samples(t)["11.8.89.fatbin"])
		copy(b[8:], le(nil, v))
		refused(t, b, "does not fit")
		b = bytes.Clone(samples(t)["11.8.89.fatbin"])
		copy(b[16+8:], le(nil, v))
		refused(t, b, "does not fit")
		b = bytes.Clone(samples(t)["12.5.40-80.cubin"])
		copy(b[40:], le(nil, v))
		refused(t, b, "does not fit")
	}
}

// A long stretch of nothing between containers is not read byte by byte.
func TestPaddingIsSkippedInLargePieces(t *testing.T) {
	const size = 256 << 20
	c := &countingCalls{ReaderAt: sparse{head: samples(t)["11.8.89.fatbin"], size: size}}
	f, err := inspect.Reader(c, size, "file")
	if err != nil || f.Device.Units != 1 {
		t.Fatalf("got %+v, error %v", f.Device, err)
	}
	if c.n > size/1000 {
		t.Errorf("%d calls to read %d bytes of nothing", c.n, size)
	}
}

type countingCalls struct {
	io.ReaderAt
	n int
}

func (c *countingCalls) ReadAt(p []byte, off int64) (int, error) {
	c.n++
	return c.ReaderAt.ReadAt(p, off)
}

package inspect

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// texts are data of the kinds that a block's encoder treats differently.
func texts() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	far := append(bytes.Clone(noise[:64<<10-1]), noise...)
	return map[string][]byte{
		"PTX":               []byte(strings.Repeat("ld.global.f32 %f1, [%rd4];\nadd.f32 %f2, %f1, 0f3F800000;\n", 20000)),
		"one byte repeated": bytes.Repeat([]byte{7}, 1<<20),
		"noise":             noise,
		"far matches":       far,
		"a few bytes":       []byte("k"),
	}
}

func TestLZ4BlocksStreamAsTheLibraryDecodesThem(t *testing.T) {
	for name, plain := range texts() {
		packed := make([]byte, lz4.CompressBlockBound(len(plain)))
		n, err := lz4.CompressBlock(plain, packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 { // the library leaves data that does not shrink to its caller
			n = copy(packed, literalBlock(plain))
		}
		got, err := io.ReadAll(newLZ4Block(bytes.NewReader(packed[:n])))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes came back of %d, error %v", name, len(got), len(plain), err)
		}
	}
}

// literalBlock is a block without a match.
func literalBlock(plain []byte) []byte {
	if len(plain) < 15 {
		return append([]byte{byte(len(plain) << 4)}, plain...)
	}
	b := []byte{0xf0}
	rest := len(plain) - 15
	for ; rest >= 255; rest -= 255 {
		b = append(b, 255)
	}
	return append(append(b, byte(rest)), plain...)
}

func TestALZ4BlockThatIsCutOrPointsBeforeItsStartIsDamaged(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":               nil,
		"literals missing":      {0x50, 'a', 'b'},
		"half an offset":        {0x10, 'a', 1},
		"no offset of zero":     {0x10, 'a', 0, 0},
		"an offset before":      {0x10, 'a', 2, 0},
		"a length without end":  {0xf0, 255, 255},
		"a match without after": {0x10, 'a', 1, 0},
	} {
		_, err := io.ReadAll(newLZ4Block(bytes.NewReader(b)))
		if !errors.Is(err, errLZ4) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzLZ4(f *testing.F) {
	f.Add([]byte{0x10, 'a', 1, 0, 0x10, 'b'})
	f.Add(literalBlock([]byte("a plain text of some length")))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := io.ReadAll(io.LimitReader(newLZ4Block(bytes.NewReader(b)), 1<<20))
		want := make([]byte, 1<<20)
		n, libErr := lz4.UncompressBlock(b, want)
		if libErr == nil && err == nil && !bytes.Equal(got, want[:n]) {
			t.Fatalf("%d bytes differ from the library's %d", len(got), n)
		}
	})
}

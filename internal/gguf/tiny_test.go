package gguf_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waqasm86/llcuda/internal/gguf"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// tiny is a model's bytes.
func tiny(t testing.TB, o gguf.TinyOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Tiny(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func check(b []byte) (gguf.Header, error) { return gguf.Check(bytes.NewReader(b), int64(len(b))) }

var types = []gguf.TensorType{gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_K, gguf.Q6_K}

// The digests were made by this package from models that llama-server (llama.cpp
// de3ff81) loaded with --check-tensors and answered from. Another digest is
// another model behind the name "tiny": try it in a server before -update.
func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	var got strings.Builder
	for _, typ := range types {
		sum := sha256.Sum256(tiny(t, gguf.TinyOptions{Type: typ, Seed: 42}))
		got.WriteString(hex.EncodeToString(sum[:]) + "  " + typ.String() + "\n")
	}
	sum := sha256.Sum256(tiny(t, gguf.ProofModel()))
	got.WriteString(hex.EncodeToString(sum[:]) + "  proof\n")
	golden := filepath.Join("testdata", "tiny.sha256")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the tiny models changed:\n%swant\n%s", got.String(), want)
	}
}

func TestTheSeedMatters(t *testing.T) {
	if bytes.Equal(tiny(t, gguf.TinyOptions{Seed: 1}), tiny(t, gguf.TinyOptions{Seed: 2})) {
		t.Error("two seeds gave one model")
	}
}

func TestATinyModelPassesItsOwnCheck(t *testing.T) {
	for _, typ := range types {
		t.Run(typ.String(), func(t *testing.T) {
			b := tiny(t, gguf.TinyOptions{Type: typ, Layers: 3, Context: 1024, Name: "n"})
			h, err := check(b)
			if err != nil {
				t.Fatal(err)
			}
			if h.Architecture != "llama" || h.Name != "n" || h.Blocks != 3 || h.ContextLength != 1024 ||
				h.Version != 3 || h.Tokenizer != "llama" || !h.ChatTemplate || h.FileType == nil || h.IsSplit() {
				t.Errorf("header is %+v", h)
			}
			if want := 3 + 3*9; h.Tensors != want {
				t.Errorf("%d tensors, want %d", h.Tensors, want)
			}
			if h.Types[gguf.F32] < 7 || typ != gguf.F32 && h.Types[typ] != 3*7+2 {
				t.Errorf("types are %v", h.Types)
			}
			if int64(len(b)) != h.Size || h.DataOffset%32 != 0 {
				t.Errorf("size %d of %d, data at %d", h.Size, len(b), h.DataOffset)
			}
		})
	}
}

// What makes a proof tell: every kernel's type is in it, for attention and for the
// rest, and a pair of keys and values serves two heads.
func TestTheProofModelHoldsATypeForEveryKernel(t *testing.T) {
	b := tiny(t, gguf.ProofModel())
	h, err := check(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []gguf.TensorType{gguf.F16, gguf.Q8_0, gguf.Q4_K, gguf.Q6_K} {
		if h.Types[typ] != 4 {
			t.Errorf("%d tensors of %s", h.Types[typ], typ)
		}
	}
	if h.Name != "llcuda-proof" || h.Blocks != 2 || len(b) > 4<<20 {
		t.Errorf("header is %+v", h)
	}
}

func TestTinyRefusesShapesThatNoServerLoads(t *testing.T) {
	for name, o := range map[string]gguf.TinyOptions{
		"rows of K-quants are multiples of 256": {Type: gguf.Q4_K, Embd: 64},
		"feed-forward rows are rows too":        {Type: gguf.Q6_K, FF: 300},
		"heads must divide the embedding":       {Embd: 64, Heads: 5},
		"a head must be even for rope":          {Embd: 12, Heads: 4},
		"sizes are above zero":                  {Layers: -1},
		"keys and values are shared evenly":     {Heads: 4, KVHeads: 3},
		"rows fit the widest of several types":  {Types: []gguf.TensorType{gguf.F16, gguf.Q4_K}, Embd: 64},
		"Q5_K is not written":                   {Type: 13},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := gguf.Tiny(&b, o); err == nil || b.Len() != 0 {
				t.Errorf("wrote %d bytes with error %v", b.Len(), err)
			}
		})
	}
}

// Every type must hold weights of one size and no bias, or the model answers
// with infinities: decode the first matrix by ggml's rules and look.
func TestWeightsAreCentredAndOfOneSize(t *testing.T) {
	for _, typ := range types {
		t.Run(typ.String(), func(t *testing.T) {
			b := tiny(t, gguf.TinyOptions{Type: typ, Seed: 7, Embd: 256})
			h, err := check(b)
			if err != nil {
				t.Fatal(err)
			}
			weights := decode(typ, b[h.DataOffset:], 256*380)
			var sum, squares float64
			for _, w := range weights {
				sum += float64(w)
				squares += float64(w) * float64(w)
			}
			n := float64(len(weights))
			if mean, std := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.005 || std < 0.12 || std > 0.17 {
				t.Errorf("mean %.4f, standard deviation %.4f", mean, std)
			}
		})
	}
}

func half(b []byte) float32 {
	u := binary.LittleEndian.Uint16(b)
	exp, frac := int(u>>10&31), float64(u&1023)
	v := math.Ldexp(1+frac/1024, exp-15)
	if exp == 0 {
		v = math.Ldexp(frac/1024, -14)
	}
	if u&0x8000 != 0 {
		v = -v
	}
	return float32(v)
}

// decode follows dequantize_row_* in ggml-quants.c.
func decode(typ gguf.TensorType, b []byte, n int) []float32 {
	out := make([]float32, 0, n)
	for len(out) < n {
		switch typ {
		case gguf.F32:
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
			b = b[4:]
		case gguf.F16:
			out = append(out, half(b))
			b = b[2:]
		case gguf.Q8_0:
			for _, q := range b[2:34] {
				out = append(out, half(b)*float32(int8(q)))
			}
			b = b[34:]
		case gguf.Q4_K:
			d, dmin, scales := half(b), half(b[2:]), b[4:16]
			for j := range 8 {
				var sc, m byte
				if j < 4 {
					sc, m = scales[j]&63, scales[j+4]&63
				} else {
					sc = scales[j+4]&0xf | scales[j-4]>>6<<4
					m = scales[j+4]>>4 | scales[j]>>6<<4
				}
				for l := range 32 {
					q := b[16+j/2*32+l] >> (4 * (j % 2)) & 0xf
					out = append(out, d*float32(sc)*float32(q)-dmin*float32(m))
				}
			}
			b = b[144:]
		case gguf.Q6_K:
			d := half(b[208:])
			for i := range 256 {
				quarter, l, half := i%128/32, i%32, i/128
				low := b[half*64+quarter%2*32+l] >> (4 * (quarter / 2)) & 0xf
				high := b[128+half*32+l] >> (2 * quarter) & 3
				sc := int8(b[192+half*8+quarter*2+l/16])
				out = append(out, d*float32(sc)*float32(int(low|high<<4)-32))
			}
			b = b[210:]
		}
	}
	return out
}

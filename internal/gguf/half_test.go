package gguf

import (
	"math"
	"testing"
)

func TestHalfRoundsToNearestEven(t *testing.T) {
	for _, c := range []struct {
		name string
		f    float32
		want uint16
	}{
		{"zero", 0, 0},
		{"minus zero", float32(math.Copysign(0, -1)), 0x8000},
		{"one", 1, 0x3c00},
		{"minus two", -2, 0xc000},
		{"a tenth is rounded down", 0.1, 0x2e66},
		{"a third is rounded", 1.0 / 3, 0x3555},
		{"a tie goes to the even below", 1 + 1.0/2048, 0x3c00},
		{"a tie goes to the even above", 1 + 3.0/2048, 0x3c02},
		{"just above a tie", 1 + 1.0/2048 + 1.0/65536, 0x3c01},
		{"a carry goes into the exponent", 2 - 1.0/4096, 0x4000},
		{"the largest", 65504, 0x7bff},
		{"above the largest is infinite", 65520, 0x7c00},
		{"infinite", float32(math.Inf(-1)), 0xfc00},
		{"the smallest normal", 1.0 / 16384, 0x0400},
		{"a subnormal", 1.0 / 32768, 0x0200},
		{"the smallest subnormal", 1.0 / (1 << 24), 0x0001},
		{"half of the smallest is a tie to zero", 1.0 / (1 << 25), 0x0000},
		{"more than half of the smallest", 1.5 / (1 << 25), 0x0001},
		{"the largest subnormal rounds up to normal", 1.0/16384 - 1.0/(1<<26), 0x0400},
		{"far below", 1e-30, 0},
		{"not a number", float32(math.NaN()), 0x7e00},
	} {
		if got := half(c.f); got != c.want {
			t.Errorf("%s: half(%g) = %#04x, want %#04x", c.name, c.f, got, c.want)
		}
	}
}

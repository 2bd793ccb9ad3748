package gguf

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// writers fill one zeroed block of a type with random weights of mean zero (half
// a step beside it for Q6_K) and a standard deviation near 1.15 × 2^scale. The
// weights are drawn as the integers that the type stores, never as floats, so
// that every machine writes the same bytes.
//
// A block that stays zero stands for zeros in every type.
var writers = map[TensorType]func(block []byte, r *rand.Rand, scale int){
	F32: func(b []byte, r *rand.Rand, scale int) {
		binary.LittleEndian.PutUint32(b, math.Float32bits(uniform(r, scale)))
	},
	F16: func(b []byte, r *rand.Rand, scale int) {
		binary.LittleEndian.PutUint16(b, half(uniform(r, scale)))
	},
	Q8_0: writeQ8_0,
	Q4_K: writeQ4_K,
	Q6_K: writeQ6_K,
}

// power is 2^n.
func power(n int) float32 { return float32(math.Ldexp(1, n)) }

// uniform is a 16-bit integer times a power of two: exact in float32.
func uniform(r *rand.Rand, scale int) float32 {
	return float32(r.IntN(1<<16)-1<<15) * power(scale-14)
}

// putHalf stores f, which must be a normal half.
func putHalf(b []byte, f float32) { binary.LittleEndian.PutUint16(b, half(f)) }

// writeQ8_0 fills block_q8_0: a half d, then 32 signed bytes q; weight = d·q.
func writeQ8_0(b []byte, r *rand.Rand, scale int) {
	putHalf(b, power(scale-6))
	for i := range b[2:] {
		b[2+i] = byte(int8(r.IntN(255) - 127))
	}
}

// writeQ4_K fills block_q4_K: halves d and dmin, eight 6-bit scales and eight
// 6-bit minima packed in 12 bytes, 256 four-bit q; weight = d·sc·q − dmin·m.
// With dmin = 7.5·d and m = sc it is d·sc·(q − 7.5), whose mean is zero.
func writeQ4_K(b []byte, r *rand.Rand, scale int) {
	d := power(scale - 7)
	putHalf(b[0:], d)
	putHalf(b[2:], 7.5*d)
	scales := b[4:16]
	for j := range 4 {
		low, high := byte(24+r.IntN(17)), byte(24+r.IntN(17)) // of sub-blocks j and j+4
		scales[j] = low | high>>4<<6
		scales[j+4] = low | high>>4<<6
		scales[j+8] = high&0xf | high&0xf<<4
	}
	fill(b[16:], r)
}

// writeQ6_K fills block_q6_K: 128 bytes of low and 64 of high bits of 256
// six-bit q, sixteen signed scales, a half d; weight = d·sc·(q − 32).
func writeQ6_K(b []byte, r *rand.Rand, scale int) {
	fill(b[:192], r)
	for i := 192; i < 208; i++ {
		sc := int8(3 + r.IntN(3))
		if r.IntN(2) == 0 {
			sc = -sc
		}
		b[i] = byte(sc)
	}
	putHalf(b[208:], power(scale-6))
}

func fill(b []byte, r *rand.Rand) {
	for i := range b {
		b[i] = byte(r.Uint32() >> 24)
	}
}

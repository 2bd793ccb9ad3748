package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// header is the part of a file before its tensors, in the making.
type header struct{ b []byte }

func (h *header) raw(b []byte) { h.b = append(h.b, b...) }

// put appends fixed-size values, or slices of them, in little-endian order.
func (h *header) put(values ...any) {
	for _, v := range values {
		var err error
		if h.b, err = binary.Append(h.b, binary.LittleEndian, v); err != nil {
			panic(fmt.Sprintf("gguf: %T has no fixed size", v)) // a mistake in this package
		}
	}
}

func (h *header) text(s string) {
	h.put(uint64(len(s)))
	h.raw([]byte(s))
}

// value appends a metadata value with its type.
func (h *header) value(v any) {
	switch v := v.(type) {
	case uint32:
		h.put(uint32(valueU32), v)
	case float32:
		h.put(uint32(valueF32), v)
	case bool:
		h.put(uint32(valueBool), v)
	case string:
		h.put(uint32(valueString))
		h.text(v)
	case []string:
		h.put(uint32(valueArray), uint32(valueString), uint64(len(v)))
		for _, s := range v {
			h.text(s)
		}
	case []float32:
		h.put(uint32(valueArray), uint32(valueF32), uint64(len(v)), v)
	case []int32:
		h.put(uint32(valueArray), uint32(valueI32), uint64(len(v)), v)
	default:
		panic(fmt.Sprintf("gguf: no metadata value of type %T", v)) // a mistake in this package
	}
}

// half is f as IEEE 754 binary16, rounded to nearest, ties to even.
func half(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	exp := int(b>>23&0xff) - 127
	frac := b & 0x7fffff
	switch {
	case exp == 128 && frac != 0:
		return sign | 0x7e00 // not a number
	case exp > 15:
		return sign | 0x7c00 // infinite
	case exp < -25:
		return sign
	case exp < -14: // subnormal: the leading one becomes explicit
		frac |= 1 << 23
		return sign | uint16(roundShift(frac, uint(-exp-14+13)))
	}
	// A carry out of the fraction goes into the exponent, as it should.
	return sign | uint16(roundShift(uint32(exp+15)<<23|frac, 13))
}

// roundShift is v >> n, rounded to nearest, ties to even.
func roundShift(v uint32, n uint) uint32 {
	q, rest, tie := v>>n, v&(1<<n-1), uint32(1)<<(n-1)
	if rest > tie || rest == tie && q&1 == 1 {
		q++
	}
	return q
}

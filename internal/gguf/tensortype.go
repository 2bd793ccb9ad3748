package gguf

import (
	"fmt"
	"math/bits"
)

// TensorType is ggml's number for how a tensor's values are stored.
type TensorType uint32

// The types that Tiny writes. Check knows the size of every type in layouts.
const (
	F32  TensorType = 0
	F16  TensorType = 1
	Q8_0 TensorType = 8
	Q4_K TensorType = 12
	Q6_K TensorType = 14
)

// layout is how a type stores values: in blocks of values values, each of
// bytes bytes. A row is a whole number of blocks.
type layout struct {
	name          string
	values, bytes uint64
}

// layouts lists ggml's types of 2026-09. A type that is not here is newer or
// was withdrawn: its extent is unknown.
var layouts = map[TensorType]layout{
	0: {"F32", 1, 4}, 1: {"F16", 1, 2}, 2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20},
	6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24}, 8: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144}, 13: {"Q5_K", 256, 176},
	14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292}, 16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74},
	18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2},
	26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8}, 29: {"IQ1_M", 256, 56}, 30: {"BF16", 1, 2},
	34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17}, 40: {"NVFP4", 64, 36},
	41: {"Q1_0", 128, 18}, 42: {"Q2_0", 64, 18},
}

func (t TensorType) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Known says whether the type's size is known.
func (t TensorType) Known() bool { _, ok := layouts[t]; return ok }

// Size is the number of bytes of a tensor with these dimensions, the fastest
// first. ok is false where the type is unknown, the rows are no whole number of
// blocks, or the size is beyond 63 bits.
func (t TensorType) Size(dims []uint64) (size uint64, ok bool) {
	l, known := layouts[t]
	if !known || len(dims) == 0 || dims[0]%l.values != 0 {
		return 0, false
	}
	size = dims[0] / l.values
	for _, factor := range append([]uint64{l.bytes}, dims[1:]...) {
		hi, lo := bits.Mul64(size, factor)
		if hi != 0 || lo > 1<<62 {
			return 0, false
		}
		size = lo
	}
	return size, true
}

// FileType is llama.cpp's number for the mix of tensor types in a file
// (LLAMA_FTYPE), the quantisation that people name.
type FileType uint32

var fileTypes = map[FileType]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
	11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
	17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
	23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
	29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
	38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}

func (t FileType) String() string {
	if name, ok := fileTypes[t]; ok {
		return name
	}
	return fmt.Sprintf("file type %d", uint32(t))
}

// fileTypeOf is the FileType of a model whose matrices are of these types; a mix
// goes by the name of llama.cpp's own that comes nearest, Q4_K_M.
func fileTypeOf(types []TensorType) FileType {
	if len(types) > 1 {
		return 15
	}
	return map[TensorType]FileType{F32: 0, F16: 1, Q8_0: 7, Q4_K: 15, Q6_K: 18}[types[0]]
}

// Package matrix turns cuda.yaml into cells, and a cell into a plan: the image,
// the environment and the exact commands that build one bundle.
//
// It promises three things. A matrix that loads is whole: every toolkit a cell
// names is there, nvcc of that toolkit compiles its SMs, llama.cpp does too, and
// every line of the promise has a cell that keeps it. All that is wrong with a
// file is told at once, each with its line. And a plan is a pure function of
// its inputs: two plans with the same Key make the same bundle.
//
// It runs nothing, reads no file, no clock and no environment. Whether the
// finished files hold what a cell promises is package verify's to say; what the
// matrix says about toolkits is believed here only as far as choosing goes.
package matrix

import _ "embed"

//go:embed cuda.yaml
var cudaYAML []byte

// Default is this project's own matrix, matrix/cuda.yaml, for a program that is
// run outside a checkout. The slice is a copy.
func Default() []byte { return append([]byte(nil), cudaYAML...) }

// DefaultName is the name under which errors speak of Default.
const DefaultName = "matrix/cuda.yaml"

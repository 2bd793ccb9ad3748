// Package gguf turns the bytes of a GGUF model file into a Header, and options
// into a tiny model.
//
// Check reads what the header promises and holds it against the size of the
// file: a download that stopped early, a web page saved under a model's name
// or a Git LFS pointer is told apart from a model before a server is started.
// It reads the header only, never the weights, so it takes milliseconds and
// cannot see a flipped bit in them; that is what a checksum is for.
//
// The file is not trusted: counts, lengths and offsets are bounded by what the
// file could hold before anything is allocated, and no input makes it panic.
//
// Tiny writes a complete random model of the llama architecture, small enough
// to be made on the spot. It is for proving that a server works on a machine;
// what it says is noise.
//
// The format is described at github.com/ggml-org/ggml, docs/gguf.md; sizes of
// tensor types were read from libggml-base of llama.cpp de3ff81 (2026-09-28).
package gguf

// magic starts every file.
const magic = "GGUF"

// defaultAlignment of tensor data, in bytes, where general.alignment is absent.
const defaultAlignment = 32

// The value types of metadata.
const (
	valueU8 = iota
	valueI8
	valueU16
	valueI16
	valueU32
	valueI32
	valueF32
	valueBool
	valueString
	valueArray
	valueU64
	valueI64
	valueF64
)

package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Bounds on a header. Real models have some fifty keys, up to ten thousand
// tensors and headers below 40 MB (vocabularies); what is beyond these is
// damage, and reading it would take memory or time.
const (
	maxKeys    = 1 << 16
	maxTensors = 1 << 20
	maxHeader  = 512 << 20
	maxKey     = 1 << 12
	maxKept    = 32 << 10
	maxDims    = 4
	// maxTensorName is ggml's GGML_MAX_NAME with its closing NUL.
	maxTensorName = 64
)

// CheckFile is Check for a path. An error of the file system is returned as it
// is; everything else is a *DamagedError that names the file.
func CheckFile(path string) (Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return Header{}, fmt.Errorf("opening the model: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Header{}, fmt.Errorf("opening the model: %w", err)
	}
	if !st.Mode().IsRegular() {
		return Header{}, &DamagedError{File: path, What: "is not a file", Cure: cureNotModel}
	}
	h, err := Check(f, st.Size())
	var damaged *DamagedError
	switch {
	case errors.As(err, &damaged):
		return Header{}, damaged.named(path)
	case err != nil:
		return Header{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return h, nil
}

// Check reads the header of a model of size bytes and holds every tensor's
// extent against it. The error is a *DamagedError, or r's own.
func Check(r io.ReaderAt, size int64) (Header, error) {
	h := Header{Size: size, Types: map[TensorType]int{}}
	c := &cursor{r: r, size: size}
	if err := checkMagic(c); err != nil {
		return Header{}, err
	}
	h.Version = c.u32()
	tensors, keys := c.u64(), c.u64()
	if c.err != nil {
		return Header{}, c.err
	}
	switch {
	case h.Version == 2 || h.Version == 3:
	case h.Version == 1:
		return Header{}, &DamagedError{What: "is GGUF version 1, which llama.cpp no longer reads", Offset: 4, Cure: "download a newer version of the model"}
	case h.Version&0xffff == 0:
		return Header{}, &DamagedError{What: "is a big-endian GGUF file", Offset: 4, Cure: "download the model's usual, little-endian version"}
	default:
		return Header{}, &DamagedError{What: fmt.Sprintf("has GGUF version %d; 2 and 3 are known", h.Version), Offset: 4, Cure: "update llcuda-run, or download the file again"}
	}
	// The shortest key takes 10 bytes (length, one letter, type and a
	// one-byte value are more), the shortest tensor 33.
	switch {
	case keys > maxKeys:
		c.corrupt("it promises %d keys", keys)
	case tensors > maxTensors:
		c.corrupt("it promises %d tensors", tensors)
	case keys > c.rest()/10 || tensors > c.rest()/33:
		c.ends()
	}
	// The file ends where it ends, but a header longer than maxHeader is none.
	c.size, c.capped = min(size, maxHeader), size > maxHeader
	alignment := readKeys(c, &h, int(keys))
	readTensors(c, &h, int(tensors), alignment)
	if c.err != nil {
		return Header{}, c.err
	}
	if h.Architecture == "" && h.Split.No == 0 {
		return Header{}, &DamagedError{What: "names no architecture (general.architecture)", Offset: c.pos, Cure: cureNotModel}
	}
	return h, nil
}

func checkMagic(c *cursor) error {
	head := make([]byte, min(64, c.size))
	if _, err := c.r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the header: %w", err)
	}
	switch {
	case c.size == 0:
		return &DamagedError{What: "is empty", Cure: cureDownload}
	case string(head[:min(4, len(head))]) != magic:
		return stranger(head)
	}
	c.pos = 4
	return nil
}

// readKeys reads the metadata into h and returns the alignment of tensor data.
func readKeys(c *cursor, h *Header, n int) uint64 {
	alignment := uint64(defaultAlignment)
	for range n {
		key := c.text(maxKey, "key")
		typ := c.u32()
		if c.err != nil {
			break
		}
		if key == "" {
			c.corrupt("a key without a name")
			break
		}
		if typ == valueString {
			readText(c, h, key)
			continue
		}
		at := c.pos
		v, isInt := readValue(c, typ, key)
		if key == "general.alignment" && c.err == nil {
			if !isInt || v == 0 || v&(v-1) != 0 || v > 1<<20 {
				c.pos = at
				c.corrupt("an alignment of %d", v)
				break
			}
			alignment = v
		}
		if isInt {
			setNumber(h, key, v)
		}
	}
	h.Keys = n
	return alignment
}

// readText reads a string value and keeps it where the header has a field for it.
func readText(c *cursor, h *Header, key string) {
	var field *string
	switch key {
	case "general.architecture":
		field = &h.Architecture
	case "general.type":
		field = &h.Type
	case "general.name":
		field = &h.Name
	case "tokenizer.ggml.model":
		field = &h.Tokenizer
	case "tokenizer.chat_template":
		h.ChatTemplate = true
	}
	if field == nil {
		c.skip(c.u64())
		return
	}
	*field = strings.ToValidUTF8(c.text(maxKept, key), "\uFFFD")
}

// setNumber keeps an integer value where the header has a field for it. Keys
// such as llama.context_length are led by the architecture's name, which may
// come later in the file: only their ends are compared.
func setNumber(h *Header, key string, v uint64) {
	switch key {
	case "general.file_type":
		if v <= 1<<31 {
			t := FileType(v)
			h.FileType = &t
		}
		return
	case "split.no":
		h.Split.No = v
		return
	case "split.count":
		h.Split.Count = v
		return
	case "split.tensors.count":
		h.Split.Tensors = v
		return
	}
	_, rest, _ := strings.Cut(key, ".")
	switch rest {
	case "context_length":
		h.ContextLength = v
	case "embedding_length":
		h.EmbeddingLength = v
	case "block_count":
		h.Blocks = v
	}
}

// scalarSizes is the size in bytes of each value type; 0 has no fixed one.
var scalarSizes = [...]int{
	valueU8: 1, valueI8: 1, valueU16: 2, valueI16: 2, valueU32: 4, valueI32: 4, valueF32: 4,
	valueBool: 1, valueU64: 8, valueI64: 8, valueF64: 8, valueString: 0, valueArray: 0,
}

// readValue reads past a value that is not a string. isInt says that v is an
// unsigned integer, or a signed one that is not negative.
func readValue(c *cursor, typ uint32, key string) (v uint64, isInt bool) {
	if typ == valueArray {
		skipArray(c, key)
		return 0, false
	}
	if typ >= uint32(len(scalarSizes)) {
		c.corrupt("key %q has the unknown type %d", key, typ)
		return 0, false
	}
	b := c.need(scalarSizes[typ])
	if b == nil {
		return 0, false
	}
	var wide [8]byte
	copy(wide[:], b)
	v = binary.LittleEndian.Uint64(wide[:])
	switch typ {
	case valueU8, valueU16, valueU32, valueU64:
		return v, true
	case valueI8, valueI16, valueI32, valueI64:
		return v, b[len(b)-1]&0x80 == 0
	default:
		return 0, false
	}
}

func skipArray(c *cursor, key string) {
	typ, n := c.u32(), c.u64()
	switch {
	case c.err != nil:
	case typ == valueArray || typ >= uint32(len(scalarSizes)):
		c.corrupt("key %q is an array of the type %d", key, typ)
	case typ == valueString:
		if n > c.rest()/8 {
			c.ends()
		}
		for i := uint64(0); i < n && c.err == nil; i++ {
			c.skip(c.u64())
		}
	default:
		size := uint64(scalarSizes[typ])
		if n > c.rest()/size {
			c.ends()
			return
		}
		c.skip(n * size)
	}
}

// extent is where one tensor lies, from the start of tensor data.
type extent struct {
	name      string
	at, bytes uint64
}

func readTensors(c *cursor, h *Header, n int, alignment uint64) {
	// Only the tensor that ends last decides whether the file is complete.
	var last extent
	for range n {
		name := c.text(maxTensorName, "tensor name")
		rank := c.u32()
		if c.err == nil && (rank == 0 || rank > maxDims) {
			c.corrupt("tensor %q has %d dimensions", name, rank)
		}
		if c.err != nil {
			return
		}
		dims := make([]uint64, rank)
		for i := range dims {
			dims[i] = c.u64()
		}
		typ := TensorType(c.u32())
		at := c.u64()
		if c.err != nil {
			return
		}
		bytes, ok := typ.Size(dims)
		switch {
		case typ.Known() && !ok:
			c.corrupt("tensor %q cannot be %v of %s", name, dims, typ)
		case at%alignment != 0 || at > 1<<62:
			c.corrupt("tensor %q lies at %d, which is no multiple of %d", name, at, alignment)
		}
		h.Types[typ]++
		h.TensorBytes += bytes
		if at+bytes >= last.at+last.bytes {
			last = extent{name, at, bytes}
		}
	}
	h.Tensors = n
	if c.err != nil {
		return
	}
	h.DataOffset = (c.pos + int64(alignment) - 1) / int64(alignment) * int64(alignment)
	if n == 0 {
		return
	}
	// Both sums are below 2^63 by the bounds on at and bytes.
	end := last.at + last.bytes
	if h.DataOffset > h.Size || end > uint64(h.Size-h.DataOffset) {
		c.err = &DamagedError{
			What: fmt.Sprintf("is cut off: tensor %q ends at byte %d, the file has %d",
				last.name, uint64(h.DataOffset)+end, h.Size),
			Offset: h.Size, Cure: cureDownload,
		}
	}
}

package gguf

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Header is what a model file says of itself. Fields that the file does not
// state are zero.
type Header struct {
	// Version of the format: 2 or 3.
	Version uint32
	// Size of the file in bytes, and where tensor data begins.
	Size, DataOffset int64
	// Architecture is "llama", "gemma3", …; never empty, except in the later
	// parts of a split model.
	Architecture string
	Name         string
	// Type is general.type: "model", "adapter", "mmproj", "imatrix", …; often empty.
	Type string
	// ContextLength is the longest context the model was trained for, in tokens.
	ContextLength   uint64
	EmbeddingLength uint64
	// Blocks is the number of transformer layers.
	Blocks uint64
	// FileType is nil where the file does not state it.
	FileType *FileType
	// Tokenizer is "llama", "gpt2", …
	Tokenizer string
	// ChatTemplate says whether the file carries one.
	ChatTemplate bool
	Keys         int
	Tensors      int
	// TensorBytes is the sum of all tensors of known type.
	TensorBytes uint64
	// Types counts the tensors of each type.
	Types map[TensorType]int
	Split Split
}

// Split says which part of a model in several files this is.
type Split struct {
	// No counts from 0.
	No uint64
	// Count is 0 or 1 for a model in one file.
	Count uint64
	// Tensors is the number in all parts together.
	Tensors uint64
}

// IsSplit says whether the model lies in several files.
func (h Header) IsSplit() bool { return h.Split.Count > 1 }

var splitName = lazyregexp.New(`^(.*)-([0-9]{5})-of-([0-9]{5})\.gguf$`)

// maxParts is what the five digits of a part's name can count.
const maxParts = 99999

// Parts is the paths of all parts of a model, of which path is one, by
// llama.cpp's rule of naming: NAME-00001-of-00003.gguf. For a model in one file
// it is path alone. The error says that a part's name does not follow the rule.
func (h Header) Parts(path string) ([]string, error) {
	if !h.IsSplit() {
		return []string{path}, nil
	}
	m := splitName.FindStringSubmatch(filepath.Base(path))
	if m == nil || h.Split.Count > maxParts || m[3] != fmt.Sprintf("%05d", h.Split.Count) {
		return nil, &DamagedError{
			File: path, What: fmt.Sprintf("is part %d of %d of a model, and its name does not say so", h.Split.No+1, h.Split.Count),
			Cure: fmt.Sprintf("llama-server finds the other parts by name: call it NAME-%05d-of-%05d.gguf", h.Split.No+1, h.Split.Count),
		}
	}
	if no, err := strconv.Atoi(m[2]); err != nil || uint64(no) != h.Split.No+1 {
		return nil, &DamagedError{
			File: path, What: fmt.Sprintf("is part %d of %d, and its name says %s", h.Split.No+1, h.Split.Count, m[2]),
			Cure: "give each part its own name again",
		}
	}
	parts := make([]string, h.Split.Count)
	for i := range parts {
		parts[i] = filepath.Join(filepath.Dir(path), fmt.Sprintf("%s-%05d-of-%s.gguf", m[1], i+1, m[3]))
	}
	return parts, nil
}

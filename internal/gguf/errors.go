package gguf

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// exitCode is "model not found or damaged", see the README's list.
const exitCode = 6

// DamagedError says that a file is no complete GGUF model.
type DamagedError struct {
	// File is the path, "" where Check was given none.
	File string
	// What is wrong, as the end of the sentence "FILE …".
	What string
	// Offset is where it was seen, in bytes from the start.
	Offset int64
	// Cure is what to do.
	Cure string
}

func (e *DamagedError) Error() string {
	file := e.File
	if file == "" {
		file = "the file"
	}
	return fmt.Sprintf("%s %s (at byte %d)", file, e.What, e.Offset)
}

// Hint says what to do.
func (e *DamagedError) Hint() string { return e.Cure }

// ExitCode is 6: model not found or damaged.
func (e *DamagedError) ExitCode() int { return exitCode }

const (
	cureDownload = "the download probably stopped early: download the file again and compare its size with the one its page names"
	cureCorrupt  = "the file was changed or mixed up on its way: download it again"
	cureNotModel = "give the path of a .gguf file"
)

// strangers are files that people take for a model, by how they begin.
var strangers = []struct{ start, what, cure string }{
	{"version https://git-lfs", "is a Git LFS pointer, not the model itself",
		"fetch the real file with `git lfs pull`, or download it from the model's page"},
	{"<!DOCTYPE", "is a web page, not a model", "the address was a page's: use the page's download link"},
	{"<!doctype", "is a web page, not a model", "the address was a page's: use the page's download link"},
	{"<html", "is a web page, not a model", "the address was a page's: use the page's download link"},
	{"PK\x03\x04", "is a zip or PyTorch file, not GGUF", "download the model's GGUF version"},
	{"lmgg", "is a GGML file from before August 2023, which llama.cpp no longer reads", "download the model's GGUF version"},
	{"fmgg", "is a GGML file from before August 2023, which llama.cpp no longer reads", "download the model's GGUF version"},
	{"tjgg", "is a GGML file from before August 2023, which llama.cpp no longer reads", "download the model's GGUF version"},
	{"\x1f\x8b", "is gzip-compressed", "unpack it with gunzip"},
	{"\x28\xb5\x2f\xfd", "is zstd-compressed", "unpack it with unzstd"},
}

// stranger explains a file that does not begin with the magic; head is its
// first bytes, up to 64.
func stranger(head []byte) *DamagedError {
	for _, s := range strangers {
		if bytes.HasPrefix(head, []byte(s.start)) {
			return &DamagedError{What: s.what, Cure: s.cure}
		}
	}
	if len(head) > 9 && head[8] == '{' && head[6] == 0 && head[7] == 0 {
		return &DamagedError{What: "is a safetensors file, not GGUF", Cure: "download the model's GGUF version, or convert it with llama.cpp's convert_hf_to_gguf.py"}
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return &DamagedError{What: "begins with zeros: its download reserved the space and never filled it", Cure: cureDownload}
	}
	return &DamagedError{What: fmt.Sprintf("is not a GGUF file: it begins with %q", head[:min(4, len(head))]), Cure: cureNotModel}
}

// named adds the path to an error of Check.
func (e *DamagedError) named(path string) *DamagedError {
	c := *e
	c.File = filepath.Clean(path)
	return &c
}

package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/gguf"
)

// build makes a GGUF file by hand, so that it can be wrong.
type build struct{ b []byte }

func (f *build) put(vs ...any) *build {
	for _, v := range vs {
		if s, ok := v.(string); ok {
			f.b = binary.LittleEndian.AppendUint64(f.b, uint64(len(s)))
			f.b = append(f.b, s...)
			continue
		}
		var err error
		if f.b, err = binary.Append(f.b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return f
}

func start(version uint32, tensors, keys uint64) *build {
	return (&build{b: []byte("GGUF")}).put(version, tensors, keys)
}

// llama starts a file with the architecture as its first key.
func llama(tensors, keys uint64) *build {
	return start(3, tensors, keys).put("general.architecture", uint32(8), "llama")
}

func (f *build) pad(n int) *build { f.b = append(f.b, make([]byte, n)...); return f }

func TestDamageIsNamed(t *testing.T) {
	whole := tiny(t, gguf.DefaultTiny())
	for _, c := range []struct {
		name string
		file []byte
		// what and cure are parts of the message.
		what, cure string
	}{
		{"nothing at all", nil, "is empty", "download"},
		{"three bytes", []byte("GGU"), "not a GGUF file", ".gguf"},
		{"the magic alone", []byte("GGUF"), "ends inside its header", "stopped early"},
		{"text", []byte("hello\n"), `begins with "hell"`, ".gguf"},
		{"a web page", []byte("<!DOCTYPE html><html>"), "web page", "download link"},
		{"a Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:"), "Git LFS pointer", "git lfs pull"},
		{"safetensors", []byte("\x50\x01\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}"), "safetensors", "convert"},
		{"a PyTorch file", []byte("PK\x03\x04rest"), "PyTorch", "GGUF version"},
		{"an old GGML file", []byte("tjgg\x03\x00\x00\x00"), "before August 2023", "GGUF"},
		{"a file of zeros", make([]byte, 4096), "begins with zeros", "stopped early"},
		{"version 1", start(1, 0, 0).b, "version 1", "newer"},
		{"version 9", start(9, 0, 0).b, "version 9", "update"},
		{"big-endian", []byte("GGUF\x00\x00\x00\x03" + strings.Repeat("\x00", 16)), "big-endian", "little-endian"},
		{"cut in the header", whole[:1000], "ends inside its header", "stopped early"},
		{"cut in the weights", whole[:100000], "is cut off: tensor \"output.weight\" ends at byte", "stopped early"},
		{"cut by the last byte", whole[:len(whole)-1], "is cut off", "stopped early"},
		{"cut before the weights", whole[:10140], "is cut off", "stopped early"},
		{"no architecture", start(3, 0, 0).b, "no architecture", ".gguf"},
		{"more keys than bytes", start(3, 0, 1<<40).b, "promises 1099511627776 keys", "again"},
		{"more tensors than bytes", start(3, 1<<60, 0).b, "tensors", "again"},
		{"a key without a name", start(3, 0, 1).put("", uint32(4), uint32(1)).b, "without a name", "again"},
		{"a key of a gigabyte", start(3, 0, 1).put(uint64(1 << 30)).pad(100).b, "a key of 1073741824 bytes", "again"},
		{"a string beyond the end", start(3, 0, 1).put("k", uint32(8), uint64(1<<63)).b, "ends inside its header", "stopped"},
		{"an unknown value type", start(3, 0, 1).put("k", uint32(13), uint64(1)).b, "unknown type 13", "again"},
		{"an array of arrays", start(3, 0, 1).put("k", uint32(9), uint32(9), uint64(1)).b, "array of the type 9", "again"},
		{"an array with a product beyond 64 bits", start(3, 0, 1).put("k", uint32(9), uint32(10), uint64(1<<62)).b, "ends inside", "stopped"},
		{"an array of endless strings", start(3, 0, 1).put("k", uint32(9), uint32(8), uint64(1<<62)).b, "ends inside", "stopped"},
		{"an alignment that is no power of two", llama(0, 2).put("general.alignment", uint32(4), uint32(24)).b, "alignment of 24", "again"},
		{"an alignment of zero", llama(0, 2).put("general.alignment", uint32(4), uint32(0)).b, "alignment of 0", "again"},
		{"a tensor without dimensions", llama(1, 1).put("t", uint32(0), uint32(0), uint64(0)).pad(64).b, "has 0 dimensions", "again"},
		{"a tensor of five dimensions", llama(1, 1).put("t", uint32(5)).pad(64).b, "has 5 dimensions", "again"},
		{"a tensor with broken rows", llama(1, 1).put("t", uint32(1), uint64(100), uint32(12), uint64(0)).pad(64).b, "cannot be [100] of Q4_K", "again"},
		{"a tensor beyond 64 bits", llama(1, 1).put("t", uint32(2), uint64(1<<40), uint64(1<<40), uint32(0), uint64(0)).b, "cannot be", "again"},
		{"an unaligned tensor", llama(1, 1).put("t", uint32(1), uint64(1), uint32(0), uint64(7)).pad(64).b, "no multiple of 32", "again"},
		{"a tensor far outside", llama(1, 1).put("t", uint32(1), uint64(1), uint32(0), uint64(1<<61)).pad(64).b, "is cut off", "stopped"},
		{"a tensor of a new type outside", llama(1, 1).put("t", uint32(1), uint64(1), uint32(999), uint64(1<<20)).pad(64).b, "is cut off", "stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := check(c.file)
			var damaged *gguf.DamagedError
			if !errors.As(err, &damaged) {
				t.Fatalf("got %+v and error %v, want a *DamagedError", h, err)
			}
			if !strings.Contains(err.Error(), c.what) {
				t.Errorf("says %q, want something with %q", err, c.what)
			}
			if !strings.Contains(damaged.Hint(), c.cure) {
				t.Errorf("hints %q, want something with %q", damaged.Hint(), c.cure)
			}
			if damaged.ExitCode() != 6 {
				t.Errorf("exit code %d, want 6", damaged.ExitCode())
			}
			if damaged.Offset < 0 || damaged.Offset > int64(len(c.file)) {
				t.Errorf("offset %d lies outside the file of %d", damaged.Offset, len(c.file))
			}
		})
	}
}

func TestEveryCutOfAModelIsSeen(t *testing.T) {
	whole := tiny(t, gguf.DefaultTiny())
	// Each byte of the header, then strides through the weights.
	for n := 0; n < len(whole); n++ {
		if n > 10200 {
			n += 997
		}
		if n >= len(whole) {
			break
		}
		if _, err := check(whole[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes pass for a model", n, len(whole))
		}
	}
}

func TestUnusualButWholeFilesPass(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		want func(gguf.Header) bool
	}{
		{"version 2", append([]byte("GGUF\x02"), llama(0, 1).b[5:]...), func(h gguf.Header) bool { return h.Version == 2 }},
		{"another architecture and wider numbers",
			start(3, 0, 3).put("qwen3.context_length", uint32(10), uint64(40960), "qwen3.block_count", uint32(5), int32(36),
				"general.architecture", uint32(8), "qwen3").b,
			func(h gguf.Header) bool {
				return h.Architecture == "qwen3" && h.ContextLength == 40960 && h.Blocks == 36
			}},
		{"a tensor of a type not known yet", llama(1, 1).put("t", uint32(1), uint64(1), uint32(999), uint64(0)).pad(64).b,
			func(h gguf.Header) bool { return h.Types[999] == 1 }},
		{"an alignment of its own", llama(0, 2).put("general.alignment", uint32(4), uint32(64)).b,
			func(h gguf.Header) bool { return h.DataOffset%64 == 0 }},
		{"a name that is no UTF-8", llama(0, 2).put("general.name", uint32(8), "a\xffb").b,
			func(h gguf.Header) bool { return h.Name == "a\uFFFDb" }},
		{"the second part of a split model",
			start(3, 0, 3).put("split.no", uint32(2), uint16(1), "split.count", uint32(2), uint16(3),
				"split.tensors.count", uint32(5), int32(21)).b,
			func(h gguf.Header) bool {
				return h.IsSplit() && h.Split == gguf.Split{No: 1, Count: 3, Tensors: 21}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := check(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(h) {
				t.Errorf("header is %+v", h)
			}
		})
	}
}

// A header beyond the bound is refused without being read to its end: the
// reader below would give zeros for ever.
func TestAHeaderOfHalfAGigabyteIsRefused(t *testing.T) {
	head := start(3, 0, 1).put("k", uint32(9), uint32(0), uint64(600<<20)).b
	_, err := gguf.Check(sparse(head), 1<<40)
	if err == nil || !strings.Contains(err.Error(), "longer than 512 MiB") {
		t.Errorf("got %v", err)
	}
}

// sparse is a file that starts with its bytes and goes on with zeros.
type sparse []byte

func (s sparse) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off < int64(len(s)) {
		copy(b, s[off:])
	}
	return len(b), nil
}

type broken struct{ error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.error }

func TestAReadErrorIsNoDamage(t *testing.T) {
	_, err := gguf.Check(broken{fs.ErrPermission}, 1000)
	var damaged *gguf.DamagedError
	if !errors.Is(err, fs.ErrPermission) || errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
}

func TestCheckFileNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.gguf")
	if err := os.WriteFile(cut, tiny(t, gguf.DefaultTiny())[:5000], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := gguf.CheckFile(cut); err == nil || !strings.HasPrefix(err.Error(), cut+" ends inside its header") {
		t.Errorf("got %v", err)
	}
	if _, err := gguf.CheckFile(filepath.Join(dir, "none.gguf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
	if _, err := gguf.CheckFile(dir); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a directory: got %v", err)
	}
}

func TestPartsOfASplitModel(t *testing.T) {
	h := gguf.Header{Split: gguf.Split{No: 1, Count: 3}}
	for _, c := range []struct {
		name, path string
		header     gguf.Header
		want       []string
		fails      string
	}{
		{"one file is its own only part", "/m/a.gguf", gguf.Header{}, []string{"/m/a.gguf"}, ""},
		{"three parts by name", "/m/a-00002-of-00003.gguf", h,
			[]string{"/m/a-00001-of-00003.gguf", "/m/a-00002-of-00003.gguf", "/m/a-00003-of-00003.gguf"}, ""},
		{"a renamed part", "/m/a.gguf", h, nil, "its name does not say so"},
		{"a part under another's name", "/m/a-00001-of-00003.gguf", h, nil, "its name says 00001"},
		{"a part with another count", "/m/a-00002-of-00004.gguf", h, nil, "its name does not say so"},
		{"a count of hostile size", "/m/a-00002-of-00003.gguf", gguf.Header{Split: gguf.Split{No: 1, Count: 1 << 62}}, nil, "its name does not say so"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.header.Parts(c.path)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzCheck holds two promises: no input panics, and what passes lies inside
// the file.
func FuzzCheck(f *testing.F) {
	whole := tiny(f, gguf.TinyOptions{Layers: 1, Embd: 8, Heads: 2, Type: gguf.F16})
	f.Add(whole)
	f.Add(whole[:2000])
	f.Add([]byte("GGUF"))
	f.Add(llama(1, 1).put("t", uint32(1), uint64(1), uint32(999), uint64(0)).pad(64).b)
	f.Add(start(3, 0, 1).put("k", uint32(9), uint32(8), uint64(2), "a", "b").b)
	f.Add(llama(0, 2).put("general.alignment", uint32(4), uint32(64)).b)
	f.Add(llama(1, 1).put("t", uint32(2), uint64(1<<40), uint64(1<<40), uint32(0), uint64(0)).b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := check(b)
		if err != nil {
			var damaged *gguf.DamagedError
			if !errors.As(err, &damaged) {
				t.Fatalf("an error that is no damage: %v", err)
			}
			if damaged.Offset < 0 || damaged.Offset > int64(len(b)) || damaged.Hint() == "" {
				t.Fatalf("%+v of %d bytes", damaged, len(b))
			}
			return
		}
		if h.Size != int64(len(b)) || !bytes.HasPrefix(b, []byte("GGUF")) {
			t.Fatalf("%+v of %d bytes", h, len(b))
		}
		if h.Tensors > 0 && h.DataOffset > h.Size {
			t.Fatalf("data begins at %d of %d", h.DataOffset, h.Size)
		}
	})
}

package models_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waqasm86/llcuda/internal/gguf"
	"github.com/waqasm86/llcuda/internal/models"
)

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func tiny(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Tiny(&b, gguf.DefaultTiny()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withKeys adds metadata to a model. Its header grows by whole alignments, so
// that the weights stay where they should be.
func withKeys(t *testing.T, model []byte, add func(put func(key string, typ uint32, value any))) []byte {
	t.Helper()
	h, err := gguf.Check(bytes.NewReader(model), int64(len(model)))
	if err != nil {
		t.Fatal(err)
	}
	var extra []byte
	n := 0
	text := func(s string) { extra = append(binary.LittleEndian.AppendUint64(extra, uint64(len(s))), s...) }
	put := func(key string, typ uint32, value any) {
		n++
		text(key)
		extra = binary.LittleEndian.AppendUint32(extra, typ)
		if s, ok := value.(string); ok {
			text(s)
			return
		}
		var err error
		if extra, err = binary.Append(extra, binary.LittleEndian, value); err != nil {
			t.Fatal(err)
		}
	}
	add(put)
	// A filler of the length that is missing; what comes before its text is
	// two lengths, the key "pad" and a type.
	put("pad", 8, strings.Repeat(" ", (32-(len(extra)+8+3+4+8)%32)%32))
	const start = 24
	out := append([]byte{}, model[:16]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(h.Keys+n))
	out = append(out, extra...)
	return append(out, model[start:]...)
}

func resolve(t *testing.T, spec, cache string) (models.Model, error) {
	return models.Resolve(t.Context(), spec, models.Options{CacheDir: cache})
}

func TestAFileIsServedByItsPath(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "m.gguf"), tiny(t))
	t.Chdir(dir)
	for _, spec := range []string{path, "m.gguf", "./m.gguf"} {
		m, err := resolve(t, spec, "")
		if err != nil {
			t.Fatal(err)
		}
		if m.Path != path || m.Name != "tiny-random" || m.Size != int64(len(tiny(t))) || m.Header.Architecture != "llama" || len(m.Parts) != 1 {
			t.Errorf("%s gave %+v", spec, m)
		}
	}
}

func TestWhatIsNoModelIsAnsweredInWords(t *testing.T) {
	dir := t.TempDir()
	whole := tiny(t)
	write(t, filepath.Join(dir, "cut.gguf"), whole[:200000])
	write(t, filepath.Join(dir, "page.gguf"), []byte("<!DOCTYPE html><title>x"))
	write(t, filepath.Join(dir, "mmproj.gguf"), withKeys(t, whole, func(put func(string, uint32, any)) { put("general.type", 8, "mmproj") }))
	write(t, filepath.Join(dir, "lora.gguf"), withKeys(t, whole, func(put func(string, uint32, any)) { put("general.type", 8, "adapter") }))
	write(t, filepath.Join(dir, "renamed.gguf"), withKeys(t, whole, func(put func(string, uint32, any)) {
		put("split.no", 2, uint16(0))
		put("split.count", 2, uint16(2))
	}))
	write(t, filepath.Join(dir, "big-00001-of-00002.gguf"), withKeys(t, whole, func(put func(string, uint32, any)) {
		put("split.no", 2, uint16(0))
		put("split.count", 2, uint16(2))
	}))
	write(t, filepath.Join(dir, "alias-that-is-a-file"), whole)
	if err := os.Symlink("gone.gguf", filepath.Join(dir, "link.gguf")); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"empty", "full"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "full", "one.gguf"), whole)
	t.Chdir(dir)

	for _, c := range []struct {
		name, spec, what, cure string
		code                   int
	}{
		{"a missing file", "none.gguf", "no model at none.gguf: there is no such file", "tiny", 6},
		{"a path through a file", "cut.gguf/x.gguf", "not a directory", "check the path", 6},
		{"a dangling link", "link.gguf", "link to a file that is gone", "link", 6},
		{"an unexpanded home", "~/none.gguf", "unexpanded", "$HOME", 6},
		{"an empty directory", "./empty", "it is a directory", "path of a .gguf file", 6},
		{"a directory with one model", "./full", "it is a directory", "full/one.gguf", 6},
		{"a truncated file", "cut.gguf", "cut.gguf is cut off", "download", 6},
		{"a web page", "page.gguf", "web page", "download link", 6},
		{"a projector", "mmproj.gguf", "multimodal projector", "--mmproj mmproj.gguf", 6},
		{"an adapter", "lora.gguf", "LoRA adapter", "--lora lora.gguf", 6},
		{"a renamed part", "renamed.gguf", "part 1 of 2", "NAME-00001-of-00002.gguf", 6},
		{"a part alone", "big-00001-of-00002.gguf", "no model at big-00002-of-00002.gguf: it is part 2 of 2", "all parts", 6},
		{"an alias with a typing error", "gemma-3-1b-Q4_KM", `no model is called "gemma-3-1b-Q4_KM"`, "did you mean gemma-3-1b-Q4_K_M", 6},
		{"an alias without its quantisation", "llama-3.2-3b", "no model is called", "did you mean llama-3.2-3b-Q4_K_M", 6},
		{"an alias that nobody gave", "nonsense", "no model is called", "llcuda-run models", 6},
		{"an alias that is a file here", "alias-that-is-a-file", "no model is called", "./alias-that-is-a-file", 6},
		{"nothing", "", "is empty", "a MODEL is", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := resolve(t, c.spec, t.TempDir())
			if err == nil {
				t.Fatalf("got %+v", m)
			}
			var told interface {
				Hint() string
				ExitCode() int
			}
			if !errors.As(err, &told) {
				t.Fatalf("%v has no hint", err)
			}
			if !strings.Contains(err.Error(), c.what) || !strings.Contains(told.Hint(), c.cure) || told.ExitCode() != c.code {
				t.Errorf("says %q, hints %q, exit %d", err, told.Hint(), told.ExitCode())
			}
		})
	}
}

func TestAnyPartOfASplitModelServesTheWhole(t *testing.T) {
	dir := t.TempDir()
	var parts []string
	for i, name := range []string{"big-00001-of-00002.gguf", "big-00002-of-00002.gguf"} {
		parts = append(parts, write(t, filepath.Join(dir, name), withKeys(t, tiny(t), func(put func(string, uint32, any)) {
			put("split.no", 2, uint16(i))
			put("split.count", 2, uint16(2))
		})))
	}
	for _, part := range parts {
		m, err := resolve(t, part, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parts, m.Parts); diff != "" || m.Path != parts[0] || m.Size != 2*m.Header.Size {
			t.Errorf("%s gave %+v\n%s", part, m, diff)
		}
	}
}

func TestTinyIsWrittenOnceAndMended(t *testing.T) {
	cache := t.TempDir()
	m, err := resolve(t, "tiny", cache)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(m.Path) != filepath.Join(cache, "models") || m.Name != "tiny-random" {
		t.Errorf("got %+v", m)
	}
	before, err := os.Stat(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resolve(t, "tiny", cache); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(m.Path); err != nil || !os.SameFile(before, after) {
		t.Errorf("a good file was replaced (%v)", err)
	}
	if err := os.Truncate(m.Path, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := resolve(t, "tiny", cache); err != nil {
		t.Errorf("a damaged built-in model was not mended: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "models", ".*")); err != nil || len(left) > 0 {
		t.Errorf("staging files are left: %v %v", left, err)
	}
}

func TestTinyIsSafeToAskForAtOnce(t *testing.T) {
	cache := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := resolve(t, "tiny", cache); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAnUnwritableCacheIsNamed(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "file"), nil)
	_, err := resolve(t, "tiny", file)
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestACancelledContextStopsResolving(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := models.Resolve(ctx, "tiny", models.Options{CacheDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

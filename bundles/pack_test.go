package bundles

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sample is a small app part: libraries with their links, a licence folder, an
// empty folder, names that need PAX.
var sample = []sampleFile{
	{path: "llama-server", text: "#!ELF", exec: true},
	{path: "libggml.so.0.9.4", text: strings.Repeat("machine code ", 4000)},
	{path: "libggml.so.0", link: "libggml.so.0.9.4"},
	{path: "libggml.so", link: "libggml.so.0"},
	{path: "LICENSES/llama.cpp.txt", text: "MIT"},
	{path: "LICENSES-extra/a", text: ""},
	{path: "LICENSES/ünï code", text: "name that is not ASCII"},
	{path: "LICENSES/" + strings.Repeat("long-", 40), text: "name of 200 bytes"},
	{path: "empty", dir: true},
}

type sampleFile struct {
	path, text, link string
	exec, dir        bool
}

func writeSample(t *testing.T, dir string, files []sampleFile) string {
	t.Helper()
	for _, f := range files {
		p := filepath.Join(dir, f.path)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		switch {
		case f.dir:
			must(t, os.MkdirAll(p, 0o755))
		case f.link != "":
			must(t, os.Symlink(f.link, p))
		default:
			mode := os.FileMode(0o644)
			if f.exec {
				mode = 0o755
			}
			must(t, os.WriteFile(p, []byte(f.text), mode))
		}
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func packed(t testing.TB, dir string) ([]byte, Packed) {
	t.Helper()
	var b bytes.Buffer
	p, err := Pack(t.Context(), dir, &b, PackOptions{Level: 3})
	must(t, err)
	return b.Bytes(), p
}

func TestSameTreeGivesSameBytesWhateverItsFolderUmaskTimesAndOrder(t *testing.T) {
	first, want := packed(t, writeSample(t, t.TempDir(), sample))

	backwards := slices.Clone(sample)
	slices.Reverse(backwards)
	old := syscall.Umask(0o077)
	dir := writeSample(t, filepath.Join(t.TempDir(), "another", "place"), backwards)
	syscall.Umask(old)
	must(t, os.Chtimes(filepath.Join(dir, "llama-server"), time.Unix(1, 0), time.Unix(2, 0)))
	must(t, os.Chtimes(filepath.Join(dir, "LICENSES"), time.Unix(1, 0), time.Unix(2, 0)))
	second, got := packed(t, dir)

	if !bytes.Equal(first, second) {
		t.Error("the bytes differ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Packed differs:\n%s", diff)
	}
	if want.Size != int64(len(first)) || want.Unpacked == 0 {
		t.Errorf("Packed = %+v for %d bytes", want, len(first))
	}
	if d, err := TreeDigest(dir); err != nil || d != want.Contents {
		t.Errorf("TreeDigest = %s, %v; Pack said %s", d, err, want.Contents)
	}
}

func TestPackedBytesAreTheOnesOfThisLibzstd(t *testing.T) {
	// Not a promise to others, but a change of libzstd or of the tar must be
	// seen in review: every part gets another name then.
	var b bytes.Buffer
	p, err := Pack(t.Context(), writeSample(t, t.TempDir(), sample), &b, PackOptions{})
	must(t, err)
	const digest = "sha256:66b0434f8e7773df295a286069245a474301a40288d36342d14b15144bf4f14c"
	const contents = "sha256:2cf7939d24df5ca88541c850467cc24953c6d2e36b6b7152024ea637426c593f"
	if p.Digest != digest || p.Contents != contents {
		t.Errorf("packed %s with contents %s, was %s with %s", p.Digest, p.Contents, digest, contents)
	}
}

func TestWhatWasPackedUnpacksToTheSameTree(t *testing.T) {
	src := writeSample(t, t.TempDir(), sample)
	data, p := packed(t, src)
	dir := filepath.Join(t.TempDir(), "new")
	var last, total int64
	got, err := Unpack(t.Context(), bytes.NewReader(data), dir, UnpackOptions{
		Name: "part", MaxBytes: p.Unpacked, Sync: true, Progress: func(d, n int64) { last, total = d, n },
	})
	must(t, err)
	if got != p.Contents {
		t.Errorf("Unpack = %s, Pack said %s", got, p.Contents)
	}
	if last != p.Unpacked || total != p.Unpacked {
		t.Errorf("progress ended at %d of %d, want %d", last, total, p.Unpacked)
	}
	a, err := ReadTree(t.Context(), src)
	must(t, err)
	b, err := ReadTree(t.Context(), dir)
	must(t, err)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("trees differ:\n%s", diff)
	}
	var walked []string
	w, err := Walk(t.Context(), bytes.NewReader(data), UnpackOptions{}, func(e Entry, _ io.Reader) error {
		walked = append(walked, e.Path)
		return nil
	})
	must(t, err)
	if w != p.Contents || !slices.IsSorted(walked) || len(walked) != len(a) {
		t.Errorf("Walk = %s over %q", w, walked)
	}
	if again, _ := packed(t, dir); !bytes.Equal(again, data) {
		t.Error("packing what was unpacked gives other bytes")
	}
}

func TestALargeFileThatIsFlushedWhileItGrowsIsWhole(t *testing.T) {
	line := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	large := sampleFile{path: "libcublasLt.so.12", text: strings.Repeat(line, 2*flushStep>>20) + "and a bit more"}
	src := writeSample(t, t.TempDir(), append(slices.Clone(sample), large))
	data, p := packed(t, src)
	dir := filepath.Join(t.TempDir(), "new")
	_, got, err := UnpackTree(t.Context(), bytes.NewReader(data), dir, UnpackOptions{MaxBytes: p.Unpacked, Sync: true})
	must(t, err)
	onDisk, err := TreeDigest(dir)
	must(t, err)
	if got != p.Contents || onDisk != p.Contents {
		t.Errorf("Unpack = %s, on disk %s, Pack said %s", got, onDisk, p.Contents)
	}
}

func TestDigestChangesWithEverythingThatCounts(t *testing.T) {
	base, err := TreeDigest(writeSample(t, t.TempDir(), sample))
	must(t, err)
	for name, change := range map[string]func(dir string) error{
		"a byte":            func(d string) error { return os.WriteFile(d+"/llama-server", []byte("#!ELG"), 0o755) },
		"an executable bit": func(d string) error { return os.Chmod(d+"/llama-server", 0o644) },
		"a name":            func(d string) error { return os.Rename(d+"/llama-server", d+"/llama-servex") },
		"a link's target": func(d string) error {
			os.Remove(d + "/libggml.so")
			return os.Symlink("libggml.so.0.9.4", d+"/libggml.so")
		},
		"a link become a file": func(d string) error {
			os.Remove(d + "/libggml.so")
			return os.WriteFile(d+"/libggml.so", []byte("libggml.so.0"), 0o644)
		},
		"an empty folder less": func(d string) error { return os.Remove(d + "/empty") },
		"a file more":          func(d string) error { return os.WriteFile(d+"/more", nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeSample(t, t.TempDir(), sample)
			must(t, change(dir))
			if d, err := TreeDigest(dir); err != nil || d == base {
				t.Errorf("digest %s, %v; want another than before", d, err)
			}
		})
	}
}

func TestPackRefusesWhatUnpackWould(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"link out of the folder":   func(d string) error { return os.Symlink("../x", d+"/l") },
		"absolute link":            func(d string) error { return os.Symlink("/etc/passwd", d+"/l") },
		"link into another folder": func(d string) error { os.Mkdir(d+"/s", 0o755); return os.Symlink("s/x", d+"/l") },
		"link to nothing":          func(d string) error { return os.Symlink("gone", d+"/l") },
		"link to itself":           func(d string) error { return os.Symlink("l", d+"/l") },
		"links in a circle":        func(d string) error { os.Symlink("b", d+"/a"); return os.Symlink("a", d+"/b") },
		"link to a folder":         func(d string) error { os.Mkdir(d+"/s", 0o755); return os.Symlink("s", d+"/l") },
		"named pipe":               func(d string) error { return syscall.Mkfifo(d+"/p", 0o644) },
		"set-user-id file":         func(d string) error { os.WriteFile(d+"/f", nil, 0o755); return os.Chmod(d+"/f", 0o755|os.ModeSetuid) },
		"newline in a name":        func(d string) error { return os.WriteFile(d+"/a\nb", nil, 0o644) },
		"name that is not UTF-8":   func(d string) error { return os.WriteFile(d+"/a\xff", nil, 0o644) },
		"backslash in a name":      func(d string) error { return os.WriteFile(d+`/a\b`, nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, make(dir))
			if _, err := Pack(t.Context(), dir, &bytes.Buffer{}, PackOptions{}); err == nil {
				t.Error("packed")
			}
			if _, err := TreeDigest(dir); err == nil {
				t.Error("digested")
			}
		})
	}
}

func TestPackEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Pack(ctx, writeSample(t, t.TempDir(), sample), &bytes.Buffer{}, PackOptions{}); err == nil {
		t.Error("packed under an ended context")
	}
}

func TestSameBytesWithOneWorkerAndWithMany(t *testing.T) {
	// Several frames, of text that repeats across the places where they meet.
	dir := t.TempDir()
	var text bytes.Buffer
	for i := 0; text.Len() < 11<<20; i++ {
		fmt.Fprintf(&text, "%d %d kernel\n", i%7919, i*i)
	}
	must(t, os.WriteFile(filepath.Join(dir, "libggml-cuda.so"), text.Bytes(), 0o644))
	var want []byte
	for _, workers := range []int{1, 2, 3, 8} {
		var b bytes.Buffer
		p, err := Pack(t.Context(), dir, &b, PackOptions{Level: 3, Workers: workers, frame: 1 << 20})
		must(t, err)
		if want == nil {
			want = b.Bytes()
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%d workers give %d bytes %s, one gives %d others", workers, b.Len(), p.Digest, len(want))
		}
	}
	if _, err := Unpack(t.Context(), bytes.NewReader(want), filepath.Join(t.TempDir(), "new"), UnpackOptions{}); err != nil {
		t.Error(err)
	}
}

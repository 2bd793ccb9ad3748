package bundles

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func squeeze(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<17))
	must(t, err)
	_, err = z.Write(plain)
	must(t, errors.Join(err, z.Close()))
	return b.Bytes()
}

func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		must(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size)))
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

func file(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 1}
}
func folder(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}
}
func link(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}
}

// attacks are tars that nobody honest makes.
func attacks(t testing.TB) map[string][]byte {
	typed := func(flag byte) []byte {
		return tarOf(t, tar.Header{Typeflag: flag, Name: "f", Linkname: "g", Mode: 0o644})
	}
	patched := func(flag byte) []byte { // a type the writer would not write
		b := tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644})
		sum := 0
		b[156] = flag
		copy(b[148:156], "        ")
		for _, c := range b[:512] {
			sum += int(c)
		}
		copy(b[148:156], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
		return b
	}
	mode := func(m int64) []byte {
		return tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: m})
	}
	pax := func(k, v string) []byte {
		return tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, PAXRecords: map[string]string{k: v}})
	}
	many := make([]tar.Header, 101)
	for i := range many {
		many[i] = file("f" + strings.Repeat("i", i))
	}
	return map[string][]byte{
		"absolute name":                   tarOf(t, file("/etc/cron.d/x")),
		"name that climbs":                tarOf(t, file("../x")),
		"name that climbs from within":    tarOf(t, folder("a"), file("a/../../x")),
		"name that is the folder itself":  tarOf(t, folder(".")),
		"name with a dot component":       tarOf(t, folder("a"), file("a/./x")),
		"name with two slashes":           tarOf(t, folder("a"), file("a//x")),
		"name with a newline":             tarOf(t, file("a\nb")),
		"name with an escape":             tarOf(t, file("a\x1b[2Jb")),
		"name with a backslash":           tarOf(t, file(`a\..\b`)),
		"name component of 256 bytes":     tarOf(t, file(strings.Repeat("n", 256))),
		"name of 2000 bytes":              tarOf(t, file(strings.Repeat("n/", 1000)+"n")),
		"link that climbs":                tarOf(t, link("l", "../x")),
		"absolute link":                   tarOf(t, link("l", "/etc")),
		"link through a folder":           tarOf(t, folder("a"), file("a/b"), link("l", "a/b")),
		"link to the folder above":        tarOf(t, link("l", "..")),
		"link to its own folder":          tarOf(t, link("l", ".")),
		"link to nothing":                 tarOf(t, link("l", "gone")),
		"link to itself":                  tarOf(t, link("l", "l")),
		"links in a circle":               tarOf(t, link("a", "b"), link("b", "a")),
		"link to a folder":                tarOf(t, folder("d"), link("l", "d")),
		"file written through a link":     tarOf(t, file("f"), link("l", "f"), file("l/x")),
		"file in place of a link":         tarOf(t, file("f"), link("l", "f"), file("l")),
		"name twice":                      tarOf(t, file("f"), file("f")),
		"folder twice":                    tarOf(t, folder("d"), folder("d")),
		"file in place of a folder":       tarOf(t, folder("d"), file("d")),
		"folder in place of a file":       tarOf(t, file("d"), folder("d")),
		"file in a file":                  tarOf(t, file("d"), file("d/x")),
		"file in an undeclared folder":    tarOf(t, file("d/x")),
		"hard link":                       typed(tar.TypeLink),
		"character device":                typed(tar.TypeChar),
		"block device":                    typed(tar.TypeBlock),
		"named pipe":                      typed(tar.TypeFifo),
		"contiguous file":                 patched('7'),
		"unknown type":                    patched('Z'),
		"old GNU sparse file":             patched('S'),
		"set-user-id file":                mode(0o4755),
		"set-group-id file":               mode(0o2755),
		"sticky file":                     mode(0o1755),
		"world-writable file":             mode(0o666),
		"file nobody may read":            mode(0),
		"world-writable folder":           tarOf(t, tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o777}),
		"capability in an attribute":      pax("SCHILY.xattr.security.capability", "x"),
		"unknown extended header":         pax("VENDOR.key", "x"),
		"global header":                   tarOf(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "f"}}, file("g")),
		"GNU format":                      tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Format: tar.FormatGNU}),
		"more bytes than declared":        tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Size: 4097}),
		"more entries than allowed":       tarOf(t, many...),
		"something after the end":         append(tarOf(t, file("f")), "more"...),
		"another tar after the end":       append(tarOf(t, file("f")), tarOf(t, file("g"))...),
		"megabytes of zeros after it all": append(tarOf(t, file("f")), make([]byte, 1<<20)...),
		"no tar at all":                   bytes.Repeat([]byte("no tar "), 200),
	}
}

// limits that the attacks above run into.
var limits = UnpackOptions{Name: "evil.tar.zst", MaxFiles: 100, MaxBytes: 4096, MaxWindow: 1 << 20}

func TestHostileArchivesAreRefusedByName(t *testing.T) {
	for name, plain := range attacks(t) {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			dir := filepath.Join(above, "in", "here")
			must(t, os.Mkdir(filepath.Dir(dir), 0o755))
			_, err := Unpack(t.Context(), bytes.NewReader(squeeze(t, plain)), dir, limits)
			var h *HostileError
			if !errors.As(err, &h) {
				t.Fatalf("error %v, want a *HostileError", err)
			}
			if h.Archive != limits.Name || h.Reason == "" || h.ExitCode() != 4 {
				t.Errorf("error %#v", h)
			}
			onlyChild(t, above, "in")
			onlyChild(t, filepath.Dir(dir), "here")
		})
	}
}

func onlyChild(t testing.TB, dir, name string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != 1 || files[0].Name() != name {
		t.Errorf("in %s lies %v, want only %s: something was written outside", dir, files, name)
	}
}

func TestZipBombStopsAtItsLimit(t *testing.T) {
	// A gigabyte that packs to nothing, hidden where no file size declares it:
	// one extended header after the other.
	one := tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("n/", 120) + "n", Mode: 0o644})
	header := one[:1024] // the extended header and its record, without the file
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(t, err)
	for range 64 << 10 {
		_, err := z.Write(header)
		must(t, err)
	}
	must(t, z.Close())
	_, err = Unpack(t.Context(), &b, filepath.Join(t.TempDir(), "d"), limits)
	var h *HostileError
	if !errors.As(err, &h) {
		t.Fatalf("error %v, want a *HostileError", err)
	}
}

func TestWindowLargerThanAllowedIsRefused(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(4<<20))
	must(t, err)
	_, err = z.Write(make([]byte, 8<<20))
	must(t, errors.Join(err, z.Close()))
	_, err = Unpack(t.Context(), &b, filepath.Join(t.TempDir(), "d"), limits)
	var h *HostileError
	if !errors.As(err, &h) || !strings.Contains(h.Reason, "window") {
		t.Fatalf("error %v, want a *HostileError about the window", err)
	}
}

func TestEveryTruncationOfAnArchiveIsAnError(t *testing.T) {
	data, _ := packed(t, writeSample(t, t.TempDir(), sample[:5]))
	for n := range data {
		if _, err := Walk(t.Context(), bytes.NewReader(data[:n]), UnpackOptions{}, drop); err == nil {
			t.Fatalf("the first %d of %d bytes pass for the whole", n, len(data))
		}
	}
	if _, err := Walk(t.Context(), bytes.NewReader(append(data, "tail"...)), UnpackOptions{}, drop); err == nil {
		t.Error("bytes after the last frame pass")
	}
}

func drop(Entry, io.Reader) error { return nil }

func TestUnpackWantsAnEmptyFolder(t *testing.T) {
	data, _ := packed(t, writeSample(t, t.TempDir(), sample))
	full := writeSample(t, t.TempDir(), sample[:1])
	if _, err := Unpack(t.Context(), bytes.NewReader(data), full, UnpackOptions{}); err == nil {
		t.Error("unpacked over something")
	}
	onlyChild(t, full, "llama-server")
	if _, err := Unpack(t.Context(), bytes.NewReader(data), t.TempDir(), UnpackOptions{}); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestModesHoldUnderAnyUmask(t *testing.T) {
	data, p := packed(t, writeSample(t, t.TempDir(), sample))
	dir := filepath.Join(t.TempDir(), "d")
	old := syscall.Umask(0o077)
	_, err := Unpack(t.Context(), bytes.NewReader(data), dir, UnpackOptions{})
	syscall.Umask(old)
	must(t, err)
	for name, want := range map[string]os.FileMode{"llama-server": 0o755, "libggml.so.0.9.4": 0o644, "LICENSES": 0o755 | os.ModeDir} {
		info, err := os.Lstat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if d, err := TreeDigest(dir); err != nil || d != p.Contents {
		t.Errorf("digest %s, %v", d, err)
	}
}

// FuzzUnpack: whatever the bytes are, nothing is written outside the folder,
// and what is accepted has the digest that was returned.
func FuzzUnpack(f *testing.F) {
	for _, plain := range attacks(f) {
		f.Add(plain)
	}
	f.Add(tarOf(f, folder("d"), file("d/f"), file("g"), link("l", "g")))
	f.Add(squeeze(f, tarOf(f, file("f"))))
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<17))
	must(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, archive := range [][]byte{enc.EncodeAll(data, nil), data} {
			above := t.TempDir()
			dir := filepath.Join(above, "here")
			digest, err := Unpack(t.Context(), bytes.NewReader(archive), dir, limits)
			onlyChild(t, above, "here")
			if err != nil {
				continue
			}
			if got, err := TreeDigest(dir); err != nil || got != digest {
				t.Errorf("unpacked %s (%v), Unpack returned %s", got, err, digest)
			}
		}
	})
}

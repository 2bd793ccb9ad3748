package bundles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// listOf is a part's list and what follows it.
func listOf(t testing.TB, data []byte) (list, rest []byte) {
	t.Helper()
	if len(data) < listHeader || binary.LittleEndian.Uint32(data) != listMagic {
		t.Fatal("the part does not begin with a list")
	}
	n := listHeader + int(binary.LittleEndian.Uint32(data[4:]))
	return data[listHeader:n], data[n:]
}

func TestAPartBeginsWithTheLinesOfItsDigest(t *testing.T) {
	dir := writeSample(t, t.TempDir(), sample)
	data, p := packed(t, dir)
	list, _ := listOf(t, data)
	if d := digestOfBytes(list); d != p.Contents {
		t.Errorf("the list has digest %s, the tree %s", d, p.Contents)
	}
	want, err := ReadTree(t.Context(), dir)
	must(t, err)
	got, err := parseList(list)
	must(t, err)
	for _, e := range want {
		if got[e.Path] != e {
			t.Errorf("the list says %+v of %+v", got[e.Path], e)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, %d in the folder", len(got), len(want))
	}
	if !slices.ContainsFunc(want, func(e Entry) bool { return e.Type == TypeLink }) {
		t.Error("the sample has no link")
	}
}

func TestAPartWhoseListIsSignedIsUnpackedByIt(t *testing.T) {
	dir := writeSample(t, t.TempDir(), sample)
	data, p := packed(t, dir)
	want, err := ReadTree(t.Context(), dir)
	must(t, err)
	_, rest := listOf(t, data)
	for name, archive := range map[string][]byte{
		"as packed": data, "without a list": rest, "with another list": append(listFrame(treeLines(want[:1])), rest...),
		"with nonsense for a list": append([]byte{0x51, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 'h', 'i'}, rest...),
	} {
		for how, r := range map[string]io.Reader{
			"at once": bytes.NewReader(archive), "byte by byte": iotest.OneByteReader(bytes.NewReader(archive)),
			"with the end": iotest.DataErrReader(bytes.NewReader(archive)),
		} {
			to := filepath.Join(t.TempDir(), "new")
			got, contents, err := UnpackTree(t.Context(), r, to, UnpackOptions{Listed: p.Contents})
			if err != nil || contents != p.Contents || !slices.Equal(got, want) {
				t.Errorf("%s, %s: %s, %v; want %s; entries %v", name, how, contents, err, p.Contents, got)
			}
			if d, err := TreeDigest(to); err != nil || d != p.Contents {
				t.Errorf("%s, %s: on disk lies %s (%v)", name, how, d, err)
			}
		}
	}
	// A manifest that says something else is not obeyed by any of them.
	other := digestOfBytes([]byte("hi"))
	for _, archive := range [][]byte{data, rest, append([]byte{0x51, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 'h', 'i'}, rest...)} {
		got, err := Unpack(t.Context(), bytes.NewReader(archive), filepath.Join(t.TempDir(), "new"), UnpackOptions{Listed: other})
		if err != nil || got != p.Contents {
			t.Errorf("asked for %s: %s, %v; what is there is %s", other, got, err, p.Contents)
		}
	}
}

// The list says the hashes; that the bytes have them, the caller sees by the hash of
// the archive. Who does not name a digest has every byte hashed.
func TestOnlyWhoNamesTheDigestGoesByTheList(t *testing.T) {
	dir := writeSample(t, t.TempDir(), sample)
	_, p := packed(t, dir)
	entries, err := ReadTree(t.Context(), dir)
	must(t, err)
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Type == TypeFile && e.Size > 0 })
	name := filepath.Join(dir, entries[i].Path)
	must(t, os.Chmod(name, 0o755))
	must(t, os.WriteFile(name, bytes.Repeat([]byte{1}, int(entries[i].Size)), 0o755))
	must(t, os.Chmod(name, entries[i].Mode))
	data, changed := packed(t, dir)
	_, rest := listOf(t, data)
	archive := append(listFrame(treeLines(entries)), rest...)
	for listed, want := range map[string]string{p.Contents: p.Contents, "": changed.Contents, changed.Contents: changed.Contents} {
		got, err := Unpack(t.Context(), bytes.NewReader(archive), filepath.Join(t.TempDir(), "new"), UnpackOptions{Listed: listed})
		if err != nil || got != want {
			t.Errorf("asked for %q: %s, %v; want %s", listed, got, err, want)
		}
	}
}

func TestAnArchiveThatIsNotItsListIsRefused(t *testing.T) {
	dir := writeSample(t, t.TempDir(), sample)
	data, _ := packed(t, dir)
	entries, err := ReadTree(t.Context(), dir)
	must(t, err)
	_, rest := listOf(t, data)
	file := slices.IndexFunc(entries, func(e Entry) bool { return e.Type == TypeFile && e.Size > 0 && !strings.Contains(e.Path, "/") })
	link := slices.IndexFunc(entries, func(e Entry) bool { return e.Type == TypeLink })
	if file < 0 || link < 0 {
		t.Fatal("the sample lacks a file or a link")
	}
	for name, c := range map[string]struct {
		change func(e []Entry) []Entry
		entry  string
	}{
		"another size": {func(e []Entry) []Entry { e[file].Size++; return e }, entries[file].Path},
		"another mode": {func(e []Entry) []Entry { e[file].Mode ^= 0o111; return e }, entries[file].Path},
		"another type": {func(e []Entry) []Entry {
			e[link] = Entry{Path: e[link].Path, Type: TypeFile, Mode: 0o644, SHA256: strings.Repeat("0", 64)}
			return e
		}, entries[link].Path},
		"one less": {func(e []Entry) []Entry { return slices.Delete(e, link, link+1) }, entries[link].Path},
		"one more": {func(e []Entry) []Entry {
			return append(e, Entry{Path: "zzz", Type: TypeFile, Mode: 0o644, SHA256: strings.Repeat("0", 64)})
		}, ""},
	} {
		list := listFrame(treeLines(c.change(slices.Clone(entries))))
		_, err := Unpack(t.Context(), bytes.NewReader(append(list, rest...)), filepath.Join(t.TempDir(), "new"),
			UnpackOptions{Listed: digestOfBytes(list[listHeader:])})
		var h *HostileError
		if !errors.As(err, &h) || h.Entry != c.entry || !strings.Contains(h.Reason, "own list") {
			t.Errorf("%s: error %v, want a *HostileError about %q", name, err, c.entry)
		}
	}
}

func TestAFlippedBitInAFrameIsAnError(t *testing.T) {
	dir := t.TempDir()
	// Nothing to compress: a flipped bit decompresses to a flipped bit.
	b := make([]byte, 4096)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), b, 0o644))
	data, p := packed(t, dir)
	at := bytes.Index(data, b[1000:1100])
	if at < 0 {
		t.Fatal("the bytes are not there as they are")
	}
	data[at] ^= 1
	for with, unpacker := range eachUnpacker {
		for _, listed := range []string{p.Contents, ""} {
			o := UnpackOptions{Listed: listed}
			o.decoder = newFrameDecoderWith(o, unpacker)
			got, err := Unpack(t.Context(), bytes.NewReader(data), filepath.Join(t.TempDir(), "new"), o)
			if !errors.Is(err, zstd.ErrCRCMismatch) && !strings.Contains(fmt.Sprint(err), "checksum") {
				t.Errorf("%s, %q: %s, error %v, want one about the checksum", with, listed, got, err)
			}
			o.decoder.Close()
		}
	}
}

func TestAListIsTakenInOneFormOnly(t *testing.T) {
	hash := strings.Repeat("a", 64)
	good := "llcuda-tree-1\ndir\t0755\t0\t-\tlib\nfile\t0644\t7\t" + hash + "\tlib/f\nlink\t0777\t0\tf\tlib/l\n"
	if got, err := parseList([]byte(good)); err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	for name, replace := range map[string][2]string{
		"another head":          {"tree-1", "tree-2"},
		"no newline at the end": {"lib/l\n", "lib/l"},
		"an empty line":         {"lib/l\n", "lib/l\n\n"},
		"four fields":           {"\tlib/f", ""},
		"a mode that is none":   {"0644", "0999"},
		"another mode":          {"0644", "0600"},
		"a mode in short":       {"0644", "644"},
		"a size with a zero":    {"\t7\t", "\t07\t"},
		"a negative size":       {"\t7\t", "\t-7\t"},
		"a hash in capitals":    {hash, strings.ToUpper(hash)},
		"a folder with a size":  {"0755\t0", "0755\t1"},
		"an unknown type":       {"file\t", "pipe\t"},
		"a name that leads out": {"lib/f", "../f"},
		"a file of no folder":   {"lib/f", "bin/f"},
		"a link to nothing":     {"\tf\t", "\tg\t"},
		"a name twice":          {"lib/l", "lib/f"},
		"another order":         {"dir\t0755\t0\t-\tlib\n", "dir\t0755\t0\t-\tlib\nfile\t0644\t0\t" + hash + "\tliz\n"},
	} {
		if got, err := parseList([]byte(strings.Replace(good, replace[0], replace[1], 1))); err == nil {
			t.Errorf("%s: taken as %v", name, got)
		}
	}
}

// FuzzList: what is taken is the one form of a tree that a part can hold.
func FuzzList(f *testing.F) {
	f.Add([]byte("llcuda-tree-1\n"))
	f.Add([]byte("llcuda-tree-1\ndir\t0755\t0\t-\tlib\nfile\t0644\t7\t" + strings.Repeat("a", 64) + "\tlib/f\nlink\t0777\t0\tf\tlib/l\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		byPath, err := parseList(data)
		if err != nil {
			return
		}
		var entries []Entry
		for path, e := range byPath {
			if e.Path != path {
				t.Errorf("%q is %+v", path, e)
			}
			entries = append(entries, e)
		}
		if d, err := DigestEntries(entries); err != nil || d != digestOfBytes(data) {
			t.Errorf("%s, %v; the bytes have %s", d, err, digestOfBytes(data))
		}
	})
}

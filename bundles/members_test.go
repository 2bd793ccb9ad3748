package bundles

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// opener counts how often the bytes are asked for.
func opener(data []byte, passes *int) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		*passes++
		return io.NopCloser(bytes.NewReader(data)), nil
	}
}

// bigPart is a part with small files and four that are not held in memory, one
// more than are open at a time. It is packed once: that takes the longest.
func bigPart(t *testing.T) (files map[string][]byte, data []byte, p Packed) {
	t.Helper()
	bigOnce.Do(func() {
		dir := writeSample(t, t.TempDir(), sample)
		r := rand.New(rand.NewPCG(1, 2))
		bigFiles = map[string][]byte{}
		for _, f := range sample {
			if f.link == "" && !f.dir {
				bigFiles[f.path] = []byte(f.text)
			}
		}
		for i, name := range bigNames {
			b := make([]byte, wholeMember+i*block+i*7+1)
			for j := 0; j+1 < len(b); j += 512 {
				b[j], b[j+1] = byte(r.Uint32()), byte(j>>9)
			}
			bigFiles[name] = b
			must(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
		}
		bigData, bigPacked = packed(t, dir)
	})
	return bigFiles, bigData, bigPacked
}

var (
	bigOnce   sync.Once
	bigNames  = []string{"a.so", "b.so", "m.so", "z.so"}
	bigFiles  map[string][]byte
	bigData   []byte
	bigPacked Packed
)

func TestMembersReadAsTheFilesDo(t *testing.T) {
	files, data, p := bigPart(t)
	passes, visited, inside := 0, []string{}, 0
	digest, err := ReadMembers(t.Context(), opener(data, &passes), UnpackOptions{Name: "part"}, func(e Entry, r io.ReaderAt) error {
		visited = append(visited, e.Path)
		inside++
		defer func() { inside-- }()
		if e.Type != TypeFile {
			if r != nil {
				t.Errorf("%s, a %s, has a reader", e.Path, e.Type)
			}
			return nil
		}
		want, ok := files[e.Path]
		if !ok {
			t.Errorf("%s is none of the files", e.Path)
		}
		n := int64(len(want))
		if n != e.Size {
			t.Errorf("%s has size %d, want %d", e.Path, e.Size, n)
		}
		// As an ELF reader goes: head, end, then back to the middle and on.
		for _, at := range [][2]int64{{0, 64}, {max(0, n-64), 64}, {max(0, n-4), 100}, {n / 2, 3*block + 5}, {n / 3, 10}, {100, 2 * block}, {n, 1}, {n + 5, 1}, {0, max(1, n)}} {
			want := want[min(at[0], n):min(at[0]+at[1], n)]
			got := make([]byte, at[1])
			m, err := r.ReadAt(got, at[0])
			if !bytes.Equal(got[:m], want) {
				t.Errorf("%s at %d: %d bytes, not those of the file", e.Path, at[0], m)
			}
			if short := at[0]+at[1] > n; short && !errors.Is(err, io.EOF) || !short && err != nil {
				t.Errorf("%s at %d: error %v", e.Path, at[0], err)
			}
		}
		if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
			t.Errorf("%s: an offset below zero was read", e.Path)
		}
		return nil
	})
	must(t, err)
	if digest != p.Contents {
		t.Errorf("digest %s, want %s", digest, p.Contents)
	}
	want := append([]string{"LICENSES", "LICENSES-extra"}, bigNames...)
	for _, f := range sample {
		want = append(want, f.path)
	}
	slices.Sort(want)
	slices.Sort(visited)
	if !slices.Equal(visited, want) {
		t.Errorf("visited %q, want %q", visited, want)
	}
	// Back to the middle, back to a third, to the start twice: four passes more
	// where they lie beyond the window, which two of them do not in files of this
	// size, and four for the file that found no room at first.
	if passes < 3 || passes > 9 {
		t.Errorf("%d passes", passes)
	}
}

func TestAReaderThatOnlyGoesForwardsTakesOnePass(t *testing.T) {
	files, data, _ := bigPart(t)
	passes := 0
	_, err := ReadMembers(t.Context(), opener(data, &passes), UnpackOptions{}, func(e Entry, r io.ReaderAt) error {
		if e.Type != TypeFile {
			return nil
		}
		got, err := io.ReadAll(io.NewSectionReader(r, 0, e.Size))
		if err != nil || !bytes.Equal(got, files[e.Path]) {
			t.Errorf("%s: %d bytes, %v", e.Path, len(got), err)
		}
		return nil
	})
	if err != nil || passes != 1 {
		t.Errorf("%d passes, %v", passes, err)
	}
}

func TestAVisitMayReadWithSeveralGoroutines(t *testing.T) {
	big, data, _ := bigPart(t)
	passes := 0
	_, err := ReadMembers(t.Context(), opener(data, &passes), UnpackOptions{}, func(e Entry, r io.ReaderAt) error {
		want := big[e.Path]
		var all sync.WaitGroup
		for i := range min(4, len(want)) {
			all.Go(func() {
				from := int64(i) * e.Size / 4
				got := make([]byte, e.Size/4)
				if _, err := r.ReadAt(got, from); err != nil || !bytes.Equal(got, want[from:from+e.Size/4]) {
					t.Errorf("%s, quarter %d: not the file's bytes, %v", e.Path, i, err)
				}
			})
		}
		all.Wait()
		return nil
	})
	must(t, err)
}

func TestAHopelessOrderEndsInAnError(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a.so"), make([]byte, 17<<20), 0o644))
	data, _ := packed(t, dir)
	passes := 0
	_, err := ReadMembers(t.Context(), opener(data, &passes), UnpackOptions{Name: "evil"}, func(e Entry, r io.ReaderAt) error {
		for range 10 * maxPasses {
			// Neither is kept when the other passes.
			for _, at := range []int64{10 << 20, 1 << 20} {
				if _, err := r.ReadAt(make([]byte, 1), at); err != nil {
					return err
				}
			}
		}
		return nil
	})
	var h *HostileError
	if !errors.As(err, &h) || passes != maxPasses {
		t.Errorf("after %d passes: %v", passes, err)
	}
}

func TestAnArchiveThatChangesBetweenPassesIsRefused(t *testing.T) {
	_, data, _ := bigPart(t)
	dir := writeSample(t, t.TempDir(), sample)
	must(t, os.WriteFile(filepath.Join(dir, "a.so"), make([]byte, 9<<20), 0o644))
	changed, _ := packed(t, dir)
	passes := 0
	_, err := ReadMembers(t.Context(), func(context.Context) (io.ReadCloser, error) {
		if passes++; passes > 1 {
			return io.NopCloser(bytes.NewReader(changed)), nil
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}, UnpackOptions{Name: "part"}, func(e Entry, r io.ReaderAt) error {
		if e.Path != "a.so" {
			return nil
		}
		b := make([]byte, 1)
		_, err := r.ReadAt(b, e.Size-1)
		_, err2 := r.ReadAt(b, 1<<20)
		return errors.Join(err, err2)
	})
	if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorOfAVisitEndsTheReadingAndTheOtherVisits(t *testing.T) {
	_, data, _ := bigPart(t)
	mine, passes, stopped := errors.New("mine"), 0, false
	_, err := ReadMembers(t.Context(), opener(data, &passes), UnpackOptions{}, func(e Entry, r io.ReaderAt) error {
		switch e.Path {
		case "a.so": // waits for a second pass that does not come
			b := make([]byte, 1)
			_, err := r.ReadAt(b, e.Size-1)
			must(t, err)
			_, err = r.ReadAt(b, 1<<20)
			stopped = err != nil
			return err
		case "m.so":
			return mine
		}
		return nil
	})
	if !errors.Is(err, mine) || err.Error() != mine.Error() || passes != 1 || !stopped {
		t.Errorf("%v after %d passes, the waiting visit stopped: %v", err, passes, stopped)
	}
}

func TestMembersOfHostileArchivesAreRefused(t *testing.T) {
	for name, plain := range attacks(t) {
		passes := 0
		_, err := ReadMembers(t.Context(), opener(squeeze(t, plain), &passes), limits, func(Entry, io.ReaderAt) error { return nil })
		var h *HostileError
		if !errors.As(err, &h) {
			t.Errorf("%s: error %v, want a *HostileError", name, err)
		}
	}
}

func TestMembersOfACutArchiveAreAnError(t *testing.T) {
	_, data, _ := bigPart(t)
	for _, n := range []int{0, 1, len(data) / 2, len(data) - 1} {
		passes := 0
		if _, err := ReadMembers(t.Context(), opener(data[:n], &passes), UnpackOptions{}, func(e Entry, r io.ReaderAt) error {
			if e.Size > 0 {
				_, err := r.ReadAt(make([]byte, 1), e.Size-1)
				return err
			}
			return nil
		}); err == nil {
			t.Errorf("the first %d of %d bytes pass for the whole", n, len(data))
		}
	}
}

package bundles

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnchangedFramesAreTakenFromAnEarlierPart(t *testing.T) {
	dir, data, p := manyFrames(t)
	var kept int64
	again := func(earlier []byte) ([]byte, Packed) {
		t.Helper()
		var out bytes.Buffer
		got, err := Pack(t.Context(), dir, &out, PackOptions{Level: 1, frame: testFrame, Earlier: bytes.NewReader(earlier)})
		must(t, err)
		kept, got.Kept = got.Kept, 0
		return out.Bytes(), got
	}
	list, _ := listOf(t, data)
	if got, packed := again(data); packed != p || !bytes.Equal(got, data) || kept != p.Size-int64(listHeader+len(list)+21*sizeFrame) {
		t.Errorf("beside itself it is packed to %+v, of which %d bytes were there, was %+v", packed, kept, p)
	}

	// Frames of another level are other bytes, so they show where they came from.
	var other bytes.Buffer
	_, err := Pack(t.Context(), dir, &other, PackOptions{Level: 19, frame: testFrame})
	must(t, err)
	theirs, ours := framesOf(t, other.Bytes()), framesOf(t, data)
	got, packed := again(other.Bytes())
	if !bytes.Equal(got, other.Bytes()) || bytes.Equal(got, data) {
		t.Error("frames that hold the same were made anew")
	}
	if packed.Contents != p.Contents {
		t.Errorf("contents %s, want %s", packed.Contents, p.Contents)
	}

	// A change in the middle of the library: only the frame that has it is made anew.
	name := filepath.Join(dir, "libggml-cuda.so")
	b, err := os.ReadFile(name)
	must(t, err)
	b[7*testFrame] ^= 1
	must(t, os.WriteFile(name, b, 0o755))
	got, packed = again(other.Bytes())
	var changed []int
	for i, f := range framesOf(t, got) {
		if !bytes.Equal(f, theirs[i]) {
			changed = append(changed, i)
		}
	}
	if len(changed) != 1 {
		t.Errorf("frames %v are new, one byte was changed", changed)
	}
	if d, err := TreeDigest(dir); err != nil || d != packed.Contents {
		t.Errorf("contents %s, the tree has %s (%v)", packed.Contents, d, err)
	}
	if d, err := Unpack(t.Context(), bytes.NewReader(got), filepath.Join(t.TempDir(), "new"), UnpackOptions{}); err != nil || d != packed.Contents {
		t.Errorf("it unpacks to %s (%v), want %s", d, err, packed.Contents)
	}
	b[7*testFrame] ^= 1
	must(t, os.WriteFile(name, b, 0o755))

	// What is damaged is no help and does no harm.
	flipped := slices.Clone(data)
	at := bytes.Index(flipped, ours[3])
	flipped[at+len(ours[3])/2] ^= 1
	lies := slices.Clone(data)
	lies[bytes.Index(lies, ours[3])-1] = 0x7f // 2 GB
	for what, earlier := range map[string][]byte{
		"a bit flipped": flipped, "a size that lies": lies, "cut": data[:len(data)/2], "nothing": nil, "its list": data[:listHeader+10],
		"something else": bytes.Repeat([]byte("no part "), 4000), "without a list": data[len(data)-len(ours[20])-sizeFrame:],
	} {
		if got, packed := again(earlier); packed != p || !bytes.Equal(got, data) || kept > p.Size-int64(len(ours[3])) {
			t.Errorf("%s: packed to %+v, of which %d bytes were there, want %+v", what, packed, kept, p)
		}
	}
}

func TestPackEndsWhileItReadsTheEarlierPart(t *testing.T) {
	dir, data, _ := manyFrames(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if _, err := Pack(ctx, dir, &out, PackOptions{Level: 1, frame: testFrame, Earlier: bytes.NewReader(data)}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestHowFramesAreMadeIsSaid(t *testing.T) {
	usual, err := PackOptions{}.How()
	must(t, err)
	if !strings.HasPrefix(usual, "libzstd 1.") || !strings.Contains(usual, "level 19") {
		t.Errorf("said %q", usual)
	}
	for _, o := range []PackOptions{{Level: 1}, {WindowLog: 22}, {frame: testFrame}} {
		if how, err := o.How(); err != nil || how == usual {
			t.Errorf("%+v: %q, %v", o, how, err)
		}
	}
	if how, err := (PackOptions{Level: 19, WindowLog: 25, Workers: 3}).How(); err != nil || how != usual {
		t.Errorf("spelled out it is %q (%v), want %q", how, err, usual)
	}
}

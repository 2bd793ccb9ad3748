package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// modelBytes is how large the model is that is downloaded: as one of a billion
// parameters at 8 bits.
const modelBytes = 1 << 30

// downloadModel downloads a model over a line of so many bytes a second; the rival
// is curl, and the sync that puts its file on the disk, where ours is when we say so.
func downloadModel(line float64) func(context.Context, bench) (samples, samples, string, error) {
	return func(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
		dir := filepath.Join(b.work, "model")
		digest, err := writeModel(dir)
		if err != nil {
			return nil, nil, "", err
		}
		defer os.RemoveAll(dir)
		url, stop, err := serveFolder(ctx, dir, line, 0)
		if err != nil {
			return nil, nil, "", err
		}
		defer stop()
		home, out := filepath.Join(b.work, "model-home"), filepath.Join(b.work, "theirs.gguf")
		none := func() error { return errors.Join(os.RemoveAll(home), os.RemoveAll(out)) }
		pull := command{argv: []string{"env", "HOME=" + home, "HF_HOME=" + home, "LLCUDA_HOME=" + home, filepath.Join(filepath.Dir(b.bin), "llcuda-run"),
			"models", "pull", url + "/model.gguf#sha256=" + digest}}
		if ours, err = times(ctx, installRuns, none, pull); err != nil {
			return nil, nil, "", err
		}
		rival, err = times(ctx, installRuns, none, command{argv: []string{"curl", "-sf", "-o", out, url + "/model.gguf"}}, command{argv: []string{"sync", out}})
		return ours, rival, "curl, sync, no hash", err
	}
}

// writeModel makes a GGUF of one tensor of noise, and gives its SHA-256.
func writeModel(dir string) (digest string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(filepath.Join(filepath.Clean(dir), "model.gguf"))
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	var head []byte
	number := func(n uint64) { head = binary.LittleEndian.AppendUint64(head, n) }
	kind := func(n uint32) { head = binary.LittleEndian.AppendUint32(head, n) }
	text := func(s string) { number(uint64(len(s))); head = append(head, s...) }
	head = append(head, "GGUF"...)
	kind(3)   // version
	number(1) // tensors
	number(1) // keys
	text("general.architecture")
	kind(8) // a string
	text("llama")
	text("token_embd.weight")
	kind(1)                // dimension
	number(modelBytes / 4) // elements
	kind(0)                // F32
	number(0)              // offset
	for len(head)%32 != 0 {
		head = append(head, 0)
	}
	_, err = w.Write(head)
	noise := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{})
	for n := 0; n < modelBytes && err == nil; n += len(noise) {
		_, _ = random.Read(noise) // it never fails
		_, err = w.Write(noise)
	}
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return "", fmt.Errorf("making a model: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

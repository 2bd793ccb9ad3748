package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/waqasm86/llcuda/internal/gguf"
)

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

// writeModel makes a model of 1 GB, and gives its SHA-256.
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
	large := gguf.DefaultTiny()
	large.Layers, large.Embd, large.Heads = 12, 2048, 16
	if err = errors.Join(gguf.Tiny(w, large), w.Flush(), f.Close()); err != nil {
		return "", fmt.Errorf("making a model: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

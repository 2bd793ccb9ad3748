package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waqasm86/llcuda/internal/gguf"
)

// writeTiny makes sure that the built-in model lies in the cache and returns
// its path. The file's name holds its digest: what lies there is held against
// it, and a file that differs is replaced. Writers do not disturb each other or
// a server that has the file open: a new file takes the name by rename.
func writeTiny(cacheDir string) (string, error) {
	if cacheDir == "" {
		return "", errors.New("the built-in model needs a cache directory")
	}
	var model bytes.Buffer
	if err := gguf.Tiny(&model, gguf.DefaultTiny()); err != nil {
		return "", err
	}
	sum := sha256.Sum256(model.Bytes())
	dir := filepath.Join(cacheDir, "models")
	path := filepath.Join(dir, TinyName+"-"+hex.EncodeToString(sum[:8])+".gguf")
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, model.Bytes()) {
		return path, nil
	}
	if err := place(dir, path, model.Bytes()); err != nil {
		return "", fmt.Errorf("writing the built-in model: %w", err)
	}
	return path, nil
}

// place writes a file under a staging name and renames it.
func place(dir, path string, content []byte) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+TinyName+"-*.unverified")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

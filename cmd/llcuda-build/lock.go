package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/waqasm86/llcuda/ci"
	"github.com/waqasm86/llcuda/internal/cli"
	"github.com/waqasm86/llcuda/matrix"
)

// runLock asks the registries what every image of the matrix is today, and
// writes the lock file: all of it or nothing.
func runLock(ctx context.Context, s *cli.Streams, o planOptions) error {
	if len(o.cells) > 0 {
		return cli.Usagef("plan --lock locks the images of the whole matrix: leave %v out", o.cells)
	}
	m, err := loadMatrix(o.matrixFile)
	if err != nil {
		return err
	}
	const platform = "linux/amd64"
	locked := map[string]matrix.Locked{}
	engine, err := engineOptions(s)
	if err != nil {
		return err
	}
	images := slices.Compact(slices.Sorted(maps.Values(m.Images())))
	err = ci.Digests(ctx, engine, images, platform, func(image, digest string) {
		fmt.Fprintf(s.Err, "%s is %s\n", image, digest)
		locked[image] = matrix.Locked{Digest: digest, Platform: platform}
	})
	if err != nil {
		return err
	}
	data, err := matrix.NewLock(locked).Marshal()
	if err != nil {
		return err
	}
	name := matrix.LockName(o.matrixFile)
	tmp := name + ".new"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, name)
	return nil
}

// pinned adds the digests of the lock file beside the matrix, where there is
// one, to the images that --image gave.
func pinned(m *matrix.Matrix, matrixFile string, images map[string]string) (map[string]string, error) {
	name := matrix.LockName(matrixFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return images, nil
	}
	if err != nil {
		return nil, err
	}
	lock, err := matrix.ParseLock(name, data)
	if err != nil {
		return nil, &cli.Error{Err: err, Code: cli.ExitUsage, Cure: "write it anew: llcuda-build plan --lock"}
	}
	all, err := m.Pin(images, lock)
	if err != nil {
		return nil, &cli.Error{Err: err, Code: cli.ExitUsage}
	}
	return all, nil
}

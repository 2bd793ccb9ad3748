package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waqasm86/llcuda/bundles"
)

// packRuns is how often a folder is packed, after one run that does not count.
const packRuns = 3

// packFolder packs a folder as build does, beside tar and the zstd command at the
// same level. The aims are 1.1 times as long at most, and no larger. How small
// the command makes it with one window over everything is told as well.
func (b bench) packFolder(ctx context.Context, name, dir string, runs int) (ours, rival samples, _ string, err error) {
	out, theirs := filepath.Join(b.work, name+".tar.zst"), filepath.Join(b.work, name+"-theirs.tar.zst")
	mine, err := b.pack(0, dir, out)
	if err != nil {
		return nil, nil, "", err
	}
	if ours, err = times(ctx, runs, nil, mine); err != nil {
		return nil, nil, "", err
	}
	long := filepath.Join(b.work, name+"-long.tar.zst")
	tar := func(zstd, out string) command {
		return command{argv: []string{"tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-I", zstd, "-cf", out, "-C", dir, "."}}
	}
	if rival, err = times(ctx, runs, nil, tar("zstd -T0 -19", theirs)); err != nil {
		return nil, nil, "", err
	}
	_, err = once(ctx, tar("zstd -T0 -19 --long=27", long))
	return ours, rival, fmt.Sprintf("tar, zstd -T0 -19 (%s, with --long=27 %s, ours %s)", size(theirs), size(long), size(out)), err
}

func packBackends(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	found, err := filepath.Glob(filepath.Join(b.corpus, filepath.Dir(lib159), "libggml-cpu-*.so"))
	if err != nil {
		return nil, nil, "", err
	}
	for i, f := range found {
		if found[i], err = filepath.Rel(b.corpus, f); err != nil {
			return nil, nil, "", err
		}
	}
	dir, err := b.linked("backends", found...)
	if err != nil {
		return nil, nil, "", err
	}
	return b.packFolder(ctx, "backends", dir, 1)
}

// cell is the unpacked folder of a cell.
func (b bench) cell() (string, error) {
	if b.dist == "" {
		return "", errors.New("no cell to pack: -dist")
	}
	return filepath.Join(b.dist, "cells", b.part), nil
}

// leanPart is the packed lean runtime that build left, "" where it left none.
func (b bench) leanPart() string {
	parts, _ := filepath.Glob(filepath.Join(b.dist, "*-lean-*.tar.zst"))
	if b.dist == "" || len(parts) == 0 {
		return ""
	}
	return parts[0]
}

// leanRuntime unpacks it under a name of its own.
func (b bench) leanRuntime(prefix string) (string, error) {
	dir := filepath.Join(b.work, prefix)
	return dir, unpack(context.Background(), b.leanPart(), dir, "")
}

func packCell(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	dir, err := b.cell()
	if err != nil {
		return nil, nil, "", err
	}
	return b.packFolder(ctx, "cell", dir, packRuns)
}

func packLibrary(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	dir, err := b.linked("library", lib374)
	if err != nil {
		return nil, nil, "", err
	}
	return b.packFolder(ctx, "library", dir, 0)
}

// unpackFolder packs a folder at a level, which the time to unpack hardly depends
// on, and unpacks it as an install does, beside tar and the zstd command. Neither
// waits for the disk: the rows of install do. The aim is twice as long at most.
func (b bench) unpackFolder(ctx context.Context, name, dir string, level int) (ours, rival samples, _ string, err error) {
	part, out := filepath.Join(b.work, name+"-packed.tar.zst"), filepath.Join(b.work, name+"-unpacked")
	making, err := b.pack(level, dir, part)
	if err != nil {
		return nil, nil, "", err
	}
	if _, err := once(ctx, making); err != nil {
		return nil, nil, "", err
	}
	contents, err := bundles.TreeDigest(dir)
	if err != nil {
		return nil, nil, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, "", err
	}
	empty := func() error { return errors.Join(os.RemoveAll(out), os.Mkdir(out, 0o755)) }
	if err := empty(); err != nil {
		return nil, nil, "", err
	}
	if ours, err = times(ctx, rivalRuns, empty, command{argv: []string{self, "unpack", part, out, contents}}); err != nil {
		return nil, nil, "", err
	}
	rival, err = times(ctx, rivalRuns, empty, command{argv: []string{"tar", "-I", "zstd -d --long=27", "-xf", part, "-C", out}})
	return ours, rival, fmt.Sprintf("zstd -d | tar x, of %s", size(part)), err
}

func unpackCell(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	dir, err := b.cell()
	if err != nil {
		return nil, nil, "", err
	}
	return b.unpackFolder(ctx, "cell", dir, 0)
}

func unpackLibrary(ctx context.Context, b bench) (ours, rival samples, _ string, err error) {
	dir, err := b.linked("to-unpack", lib374)
	if err != nil {
		return nil, nil, "", err
	}
	return b.unpackFolder(ctx, "library", dir, 3)
}

func size(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("%.2f MB", float64(info.Size())/1e6)
}

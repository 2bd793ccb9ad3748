package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is a tree of files on disk; its string is the absolute path.
type folder struct{ dir string }

func (f folder) String() string { return f.dir }

func (f folder) open(ctx context.Context, name string, at span) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	offset := at.from
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &NotFoundError{URL: path}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading release: %w", err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = &NotFoundError{URL: path, Detail: "is no file"}
	case offset > info.Size():
		err = &RangeError{URL: path, Offset: offset, Size: info.Size()}
	default:
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

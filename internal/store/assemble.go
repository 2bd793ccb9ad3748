package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/bundles"
)

// assemble links the parts into one folder, puts it in its place and records it.
func (w *session) assemble(ctx context.Context, p plan, have map[string][]file) (Installed, error) {
	files, from, err := merge(p, have)
	if err != nil {
		return Installed{}, err
	}
	temp := scratch()
	dirs, err := w.populate(ctx, temp, files, from)
	if err != nil {
		return Installed{}, joinQuietly(err, w.root.RemoveAll(temp))
	}
	w.step("linked")
	rec := bundleRecord{
		Schema: 1, ID: p.bundle.ID, Release: p.in.Manifest.Release, Source: p.in.Source, Bundle: p.bundle,
		Runtime: p.runtime, Parts: map[string]bundles.Part{}, Time: p.in.Now().UTC(), Files: files,
	}
	for _, part := range p.parts {
		rec.Parts[part.Digest] = part.Part
	}
	// From here on the old bundle, if any, does not count any more.
	if err := w.discard(p.dir + ".json"); err != nil {
		return Installed{}, err
	}
	if err := w.move(temp, p.dir, dirs...); err != nil {
		return Installed{}, joinQuietly(err, w.root.RemoveAll(temp))
	}
	w.step("bundle in place")
	if err := w.write(p.dir+".json", rec); err != nil {
		return Installed{}, err
	}
	w.step("bundle recorded")
	in := w.installed(rec, p.dir)
	in.Fresh = true
	return in, nil
}

// merge lays the runtime part's files over the app part's. Folders may be in
// both; a file may be in both if it is the same; the runtime's own bundle.json
// is left out, the app's speaks for the bundle.
func merge(p plan, have map[string][]file) (files []file, from map[string]string, err error) {
	from = map[string]string{}
	byPath := map[string]file{}
	for _, part := range p.parts {
		for _, f := range have[part.Digest] {
			if part.Kind == bundles.PartRuntime && f.Path == bundles.InfoName {
				continue
			}
			old, twice := byPath[f.Path]
			if twice {
				if old.entry() != f.entry() {
					return nil, nil, &PartError{part.Name, part.Digest,
						fmt.Errorf("it holds another %s than %s", f.Path, p.parts[0].Name)}
				}
				continue
			}
			byPath[f.Path] = f
			from[f.Path] = path.Join(part.dir(), f.Path)
			files = append(files, f)
		}
	}
	sortFiles(files)
	return files, from, nil
}

// populate makes dir hold files, each from its place in parts/, and notes
// their times. It returns the folders in dir, and dir itself as ".": their names
// are not flushed yet.
func (w *session) populate(ctx context.Context, dir string, files []file, from map[string]string) (dirs []string, err error) {
	if err := w.root.Mkdir(dir, 0o755); err != nil {
		return nil, w.fileError("making", dir, err)
	}
	dirs = []string{"."}
	for i, f := range files {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		to := path.Join(dir, f.Path)
		var err error
		switch f.Type {
		case bundles.TypeDir:
			err = w.root.Mkdir(to, 0o755)
			dirs = append(dirs, f.Path)
		case bundles.TypeLink:
			err = w.root.Symlink(f.Target, to)
		default:
			if err = w.link(w.root, from[f.Path], to); linkless(err) {
				if err = copyFile(w.root, from[f.Path], to, f); err == nil {
					files[i].MTime, err = mtime(w.root, to)
				}
			} // a link has the time of the part's file, as f does
		}
		if err != nil {
			return nil, w.fileError("writing", to, err)
		}
	}
	return dirs, nil
}

// linkless says that the file system (or a kernel rule) has no hard link for us.
func linkless(err error) bool {
	for _, errno := range []error{unix.EXDEV, unix.EPERM, unix.EMLINK, unix.EOPNOTSUPP, unix.ENOSYS} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// copyFile copies one file and checks its bytes on the way.
func copyFile(root *os.Root, from, to string, f file) error {
	src, err := root.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(dst, sum), src)
	if err == nil {
		err = dst.Chmod(f.Mode)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%s has other bytes than were unpacked", from)
	}
	return nil
}

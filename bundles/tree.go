package bundles

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Types of entries in a tree. There are no others: devices, sockets, pipes and
// hard links are refused wherever they are met.
const (
	TypeFile = "file"
	TypeDir  = "dir"
	TypeLink = "link"
)

// Entry is one file, folder or symlink of a part.
type Entry struct {
	// Path is relative, with forward slashes, in its shortest form.
	Path string
	// Type is TypeFile, TypeDir or TypeLink.
	Type string
	// Mode is 0755 or 0644 for a file, 0755 for a folder, 0777 for a link.
	Mode fs.FileMode
	// Size of a file, in bytes.
	Size int64
	// SHA256 of a file's bytes, 64 hex digits; empty until they were read.
	SHA256 string
	// Target of a link: the bare name of something in the same folder.
	Target string
}

// TreeDigest is the digest of a folder's contents, "sha256:<hex>": what
// Part.Contents states and Unpack returns. Two folders have the same digest if
// and only if they hold the same names, types, bytes, link targets and
// executable bits; owner, times, other mode bits and the folder's own name do
// not count.
//
// It is the SHA-256 of lines, each ended by a newline: first "llcuda-tree-1",
// then one for each entry, sorted by path in byte order, of five fields with a
// tab between:
//
//	file  0755|0644  SIZE  SHA256  PATH
//	dir   0755       0     -       PATH
//	link  0777       0     TARGET  PATH
//
// SIZE is decimal; a file is 0755 if its owner may execute it. Names can hold
// neither tabs nor newlines, so no two trees give the same lines. The root
// itself has no line.
func TreeDigest(dir string) (string, error) {
	return treeDigest(dir, func() error { return nil })
}

func treeDigest(dir string, alive func() error) (string, error) {
	entries, err := readTree(dir, alive)
	if err != nil {
		return "", err
	}
	return DigestEntries(entries)
}

// ReadTree lists a folder with the hash of every file, sorted by path. It
// refuses what Pack refuses. A caller that keeps files of its own in the
// folder leaves those out and gives the rest to DigestEntries.
func ReadTree(ctx context.Context, dir string) ([]Entry, error) {
	return readTree(dir, ctx.Err)
}

func readTree(dir string, alive func() error) ([]Entry, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading folder: %w", err)
	}
	defer root.Close()
	entries, err := scanAndHash(root, alive)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", dir, err)
	}
	return entries, nil
}

func scanAndHash(root *os.Root, alive func() error) ([]Entry, error) {
	entries, err := scan(root)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if entries[i].Type != TypeFile {
			continue
		}
		if entries[i].SHA256, err = hashFile(root, entries[i], alive); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// DigestEntries is TreeDigest over a list of entries in any order. Entries
// that no part can hold are an error.
func DigestEntries(entries []Entry) (string, error) {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range sorted {
		if e.Type == TypeFile && !isSHA256Hex(e.SHA256) {
			return "", fmt.Errorf("digest of a tree: %q has no hash", e.Path)
		}
	}
	t, err := treeOf(sorted)
	if err != nil {
		return "", fmt.Errorf("digest of a tree: %w", err)
	}
	return t.digest(), nil
}

// tree collects entries and says what is wrong with one before it is acted on.
type tree struct {
	byPath  map[string]int
	entries []Entry
}

func newTree() *tree { return &tree{byPath: map[string]int{}} }

// treeOf is the tree of entries that are all there are, each behind its folder, or
// what is wrong with one of them.
func treeOf(entries []Entry) (*tree, error) {
	t := newTree()
	for _, e := range entries {
		if f := t.add(e); f != "" {
			return nil, fmt.Errorf("%q: %s", e.Path, f)
		}
	}
	if p, f := t.linkFault(); f != "" {
		return nil, fmt.Errorf("%q: %s", p, f)
	}
	return t, nil
}

// add says why e can not be part of the tree, "" if it can and now is. The
// folder of an entry must have been added before.
func (t *tree) add(e Entry) string {
	if f := pathFault(e.Path); f != "" {
		return f
	}
	if _, ok := t.byPath[e.Path]; ok {
		return "the name appears twice"
	}
	if dir := path.Dir(e.Path); dir != "." {
		i, ok := t.byPath[dir]
		if !ok {
			return fmt.Sprintf("its folder %q was not declared", dir)
		}
		if t.entries[i].Type != TypeDir {
			return fmt.Sprintf("its folder %q is a %s", dir, t.entries[i].Type)
		}
	}
	switch e.Type {
	case TypeFile:
		if e.Mode != 0o755 && e.Mode != 0o644 {
			return fmt.Sprintf("mode %#o, only 0755 and 0644 are allowed", uint32(e.Mode))
		}
		if e.Size < 0 {
			return "negative size"
		}
	case TypeDir:
		if e.Mode != 0o755 {
			return fmt.Sprintf("folder with mode %#o, only 0755 is allowed", uint32(e.Mode))
		}
	case TypeLink:
		if f := targetFault(e.Target); f != "" {
			return f
		}
	default:
		return fmt.Sprintf("type %q", e.Type)
	}
	t.byPath[e.Path] = len(t.entries)
	t.entries = append(t.entries, e)
	return ""
}

// linkFault follows every link to its end, which must be a file of the same
// folder.
func (t *tree) linkFault() (name, fault string) {
	for _, e := range t.entries {
		at := e
		for hops := 0; at.Type == TypeLink; hops++ {
			i, ok := t.byPath[path.Join(path.Dir(at.Path), at.Target)]
			if !ok {
				return e.Path, fmt.Sprintf("link to %q, which is not there", at.Target)
			}
			if at = t.entries[i]; hops > len(t.entries) {
				return e.Path, "link that leads back to itself"
			}
		}
		if e.Type == TypeLink && at.Type != TypeFile {
			return e.Path, fmt.Sprintf("link to a %s", at.Type)
		}
	}
	return "", ""
}

func (t *tree) digest() string { return digestOfBytes(treeLines(t.entries)) }

const treeHead = "llcuda-tree-1"

// treeLines are the lines of TreeDigest.
func treeLines(entries []Entry) []byte {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	lines := append([]byte(treeHead), '\n')
	for _, e := range sorted {
		switch e.Type {
		case TypeFile:
			lines = fmt.Appendf(lines, "file\t%04o\t%d\t%s\t%s\n", uint32(e.Mode), e.Size, e.SHA256, e.Path)
		case TypeDir:
			lines = fmt.Appendf(lines, "dir\t0755\t0\t-\t%s\n", e.Path)
		case TypeLink:
			lines = fmt.Appendf(lines, "link\t0777\t0\t%s\t%s\n", e.Target, e.Path)
		}
	}
	return lines
}

// scan lists a folder on disk, sorted by path in byte order (which puts a
// folder before what is in it), without hashes.
func scan(root *os.Root) ([]Entry, error) {
	var found []Entry
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == "." {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := Entry{Path: p}
		switch mode := info.Mode(); {
		case mode.IsRegular():
			if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				return fmt.Errorf("%q: set-user-id or set-group-id file", p)
			}
			e.Type, e.Size, e.Mode = TypeFile, info.Size(), 0o644
			if mode&0o100 != 0 {
				e.Mode = 0o755
			}
		case mode.IsDir():
			e.Type, e.Mode = TypeDir, 0o755
		case mode&fs.ModeSymlink != 0:
			e.Type, e.Mode = TypeLink, 0o777
			if e.Target, err = root.Readlink(p); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%q: neither file, folder nor symlink", p)
		}
		found = append(found, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	if _, err := treeOf(found); err != nil {
		return nil, err
	}
	return found, nil
}

func hashFile(root *os.Root, e Entry, alive func() error) (string, error) {
	f, err := openRegular(root, e.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, aliveReader{f, alive}, make([]byte, 1<<20))
	if err != nil {
		return "", err
	}
	if n != e.Size {
		return "", fmt.Errorf("%q changed while it was read", e.Path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// openRegular opens a file that a scan found to be one, and looks again: a
// name that became something else in between is an error.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no file any more")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return f, nil
}

// aliveReader ends a long read when its context does.
type aliveReader struct {
	r     io.Reader
	alive func() error
}

func (a aliveReader) Read(p []byte) (int, error) {
	if err := a.alive(); err != nil {
		return 0, err
	}
	return a.r.Read(p)
}

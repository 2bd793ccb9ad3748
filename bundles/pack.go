package bundles

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"time"
)

// Defaults of PackOptions, measured on real bundles (docs/performance.md): they
// make 21.2 MB where the best of a pure Go encoder makes 24.7.
const (
	DefaultLevel     = 19
	DefaultWindowLog = 25
)

// PackOptions are the things that the bytes of a part depend on, besides the
// folder and the version of libzstd (pinned in go.mod).
type PackOptions struct {
	// Level is libzstd's, 1 to 22; 0 = DefaultLevel.
	Level int
	// WindowLog is log2 of the window in bytes, 10 to 25; 0 =
	// DefaultWindowLog, the whole frame.
	WindowLog int
	// Workers are the frames that are compressed at the same time, 1 or more; 0 =
	// as many as this process may use processors, 16 at most. They decide the time
	// alone: the same folder gives the same bytes with any number. Each takes
	// about 150 MB at the default level.
	Workers int
	// Progress is told of bytes packed, before compression; may be nil.
	Progress func(done, total int64)
	// Earlier is a part that Pack made before, of anything, with the same How, or nil.
	// Frames of it that hold what frames of the new part are to hold are taken as they
	// are, after they were decompressed and compared: the bytes are the same, without
	// the time.
	Earlier io.ReaderAt

	frame int // bytes of tar in a frame; 0 = frameSize
}

// Packed says what Pack wrote.
type Packed struct {
	// Digest of the packed bytes, "sha256:<hex>": the part's key in a manifest.
	Digest string
	// Size of the packed bytes.
	Size int64
	// Contents is the digest of the tree, see TreeDigest.
	Contents string
	// Unpacked is the sum of the file sizes, in bytes.
	Unpacked int64
	// Kept is how many bytes of Size are frames of PackOptions.Earlier.
	Kept int64
}

// Pack writes the folder dir to w as a tar compressed with libzstd, in frames of
// 32 MiB that any zstd reads as one file and Unpack reads side by side, each with
// its checksum, and before them the list of what is in it (list.go). It reads every
// file twice, and refuses one that is another the second time. The bytes
// depend on names, contents, executable bits and link targets only: entries are
// sorted by path, and carry no owner, no time and no mode but 0755 and 0644. A folder that holds anything but files, folders and
// symlinks to files beside them is refused, and so is a set-user-id file.
//
// It needs cgo; without it the error is ErrNoLibzstd.
func Pack(ctx context.Context, dir string, w io.Writer, o PackOptions) (Packed, error) {
	p, err := pack(ctx, dir, w, o)
	if err != nil {
		return Packed{}, fmt.Errorf("packing %q: %w", dir, err)
	}
	return p, nil
}

func pack(ctx context.Context, dir string, w io.Writer, o PackOptions) (Packed, error) {
	how, err := o.compression()
	if err != nil {
		return Packed{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Packed{}, err
	}
	defer root.Close()
	entries, err := scanAndHash(root, ctx.Err)
	if err != nil {
		return Packed{}, err
	}
	var total int64
	for _, e := range entries {
		total += e.Size
	}
	sink := &countingHash{w: w, h: sha256.New()}
	lines := treeLines(entries)
	if _, err := sink.Write(listFrame(lines)); err != nil {
		return Packed{}, err
	}
	if o.Earlier != nil {
		how.earlier = readEarlier(ctx, o.Earlier, how.workers)
	}
	z := newFrameWriter(ctx, sink, how)
	in := &packer{ctx: ctx, root: root, tw: tar.NewWriter(z), total: total, progress: o.Progress, buf: make([]byte, 1<<20)}
	if err := in.all(entries); err != nil {
		z.fail(err)
	}
	if err := z.Close(); err != nil {
		return Packed{}, err
	}
	return Packed{Digest: digestOf(sink.h), Size: sink.n, Contents: digestOfBytes(lines), Unpacked: total, Kept: z.kept}, nil
}

type packer struct {
	ctx         context.Context
	root        *os.Root
	tw          *tar.Writer
	done, total int64
	progress    func(done, total int64)
	buf         []byte
}

// all writes the tar.
func (p *packer) all(entries []Entry) error {
	for _, e := range entries {
		if err := p.add(e); err != nil {
			return err
		}
	}
	return p.tw.Close()
}

// add writes one entry; a file must be what it was when it was hashed.
func (p *packer) add(e Entry) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	// The format is left open: USTAR where it can say the name and size, PAX
	// where not. Nothing here makes the writer fall back to GNU's.
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), ModTime: time.Unix(0, 0)}
	switch e.Type {
	case TypeDir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		return p.tw.WriteHeader(h)
	case TypeLink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
		return p.tw.WriteHeader(h)
	}
	h.Typeflag, h.Size = tar.TypeReg, e.Size
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	f, err := openRegular(p.root, e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	// Only Write, so that the buffer is used and progress is told.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(sum, p)}, aliveReader{f, p.ctx.Err}, p.buf)
	if err != nil && n <= e.Size {
		return fmt.Errorf("%q: %w", e.Path, err)
	}
	if n != e.Size || err != nil || hex.EncodeToString(sum.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("%q changed while it was packed", e.Path)
	}
	return nil
}

func (p *packer) Write(b []byte) (int, error) {
	n, err := p.tw.Write(b)
	p.done += int64(n)
	if p.progress != nil {
		p.progress(p.done, p.total)
	}
	return n, err
}

// maxWorkers bounds the threads of one part, whose memory nobody asked for.
const maxWorkers = 16

// compression is o, checked, the defaults in place of zero.
func (o PackOptions) compression() (compression, error) {
	c := compression{level: o.Level, windowLog: o.WindowLog, workers: o.Workers, frame: o.frame}
	if c.level == 0 {
		c.level = DefaultLevel
	}
	if c.windowLog == 0 {
		c.windowLog = DefaultWindowLog
	}
	if c.workers == 0 {
		c.workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	}
	if c.frame == 0 {
		c.frame = frameSize
	}
	switch {
	case c.level < 1 || c.level > 22:
		return compression{}, fmt.Errorf("compression level %d: not in 1 to 22", c.level)
	case c.windowLog < 10 || c.windowLog > DefaultWindowLog:
		return compression{}, fmt.Errorf("window log %d: not in 10 to %d", c.windowLog, DefaultWindowLog)
	case c.workers < 0:
		return compression{}, fmt.Errorf("%d workers", c.workers)
	}
	return c, nil
}

// compression is how frames are made; workers decides nothing of their bytes, and
// earlier nothing where it was made so.
type compression struct {
	level, windowLog, workers, frame int
	earlier                          *earlier // or nil
}

// countingHash passes bytes on and keeps their number and hash.
type countingHash struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (c *countingHash) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.h.Write(b[:n])
	c.n += int64(n)
	return n, err
}

package bundles

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Limits that hold where UnpackOptions says nothing.
const (
	DefaultMaxFiles  = 4096
	DefaultMaxBytes  = 16 << 30
	DefaultMaxWindow = 128 << 20
)

// perEntry bounds what tar needs around the bytes of one entry: two headers,
// a PAX record of the longest name twice, padding.
const perEntry = 8 << 10

// maxPadding bounds the zeros after the end of a tar (GNU pads to 10 KiB).
const maxPadding = 64 << 10

// UnpackOptions bounds what an archive may cost its reader.
type UnpackOptions struct {
	// Name of the archive in errors.
	Name string
	// MaxFiles bounds the number of entries; 0 = DefaultMaxFiles.
	MaxFiles int
	// MaxBytes bounds the sum of the file sizes. Give Part.Unpacked where it is
	// known; 0 = DefaultMaxBytes.
	MaxBytes int64
	// MaxWindow bounds a decoder's window in bytes, and with it the memory that a
	// hostile archive can ask for; 0 = DefaultMaxWindow.
	MaxWindow uint64
	// Listed is what the digest of the tree must be, where a signature says so and
	// the caller checks that the archive's bytes are those that were packed, too:
	// package store does, before it uses anything. The files of an archive whose own
	// list has this digest, as Pack's have, are not hashed, by Unpack, UnpackTree and
	// Walk: what their hashes are the list says, and that they have them follows from
	// the archive's bytes. Without it every byte is hashed.
	Listed string
	// Sync flushes every file and folder to the disk before Unpack returns.
	Sync bool
	// Progress is told of bytes unpacked; total is MaxBytes as given, 0 where
	// none was. May be nil.
	Progress func(done, total int64)

	// decoder is used where it is set, and left open: its buffers are most of the
	// memory that reading an archive takes.
	decoder *frameDecoder
}

func (o UnpackOptions) withDefaults() UnpackOptions {
	if o.MaxFiles <= 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxWindow == 0 {
		o.MaxWindow = DefaultMaxWindow
	}
	return o
}

// Walk reads an archive from start to end without unpacking it, refuses what
// Unpack refuses, and calls fn for every entry in the archive's order; r holds
// a file's bytes and is nil for folders and links. Entry.SHA256 is not known
// yet when fn is called. What fn leaves unread is read for it. An error of fn
// ends the walk and is returned as it is.
//
// contents is the digest of the tree, see TreeDigest: the caller compares it.
func Walk(ctx context.Context, r io.Reader, o UnpackOptions, fn func(e Entry, r io.Reader) error) (contents string, err error) {
	t, err := walk(ctx, r, o, fn)
	if err != nil {
		return "", err
	}
	return t.digest(), nil
}

func walk(ctx context.Context, r io.Reader, given UnpackOptions, fn func(Entry, io.Reader) error) (*tree, error) {
	o := given.withDefaults()
	hostile := func(entry, format string, args ...any) error {
		return &HostileError{Archive: o.Name, Entry: entry, Reason: fmt.Sprintf(format, args...)}
	}
	broken := func(err error) error {
		if h := (*HostileError)(nil); errors.As(err, &h) || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return hostile("", "asks for a window of more than %d bytes", o.MaxWindow)
		}
		if o.Name == "" {
			return fmt.Errorf("reading archive: %w", err)
		}
		return fmt.Errorf("reading archive %s: %w", o.Name, err)
	}
	d := o.decoder
	if d == nil {
		d = newFrameDecoder(o)
		defer d.Close()
	}
	z := d.open(aliveReader{r, ctx.Err})
	defer z.stop()
	plain := &boundedReader{r: z, left: o.MaxBytes + int64(o.MaxFiles+2)*perEntry + maxPadding,
		over: hostile("", "unpacks to more than the %d bytes allowed", o.MaxBytes)}
	var (
		t    = newTree()
		sum  int64
		done int64
		bufs = newBufs()
		list map[string]Entry // nil where there is none to go by
	)
	for {
		before := plain.read
		// One reads no further than the header, and never a file: those are read
		// where they lie.
		h, err := tar.NewReader(plain).Next()
		if before == 0 {
			list = listed(z.list, o.Listed)
		}
		if err == io.EOF {
			// The two zero blocks at the end: package tar does without them,
			// and would take a tar cut between two entries for a whole one.
			if plain.read-before < 1024 {
				return nil, broken(io.ErrUnexpectedEOF)
			}
			break
		}
		if err != nil {
			name := ""
			if h != nil {
				name = h.Name
			}
			if errors.Is(err, tar.ErrInsecurePath) {
				return nil, hostile(name, "name that leads out of the folder")
			}
			if errors.Is(err, tar.ErrHeader) {
				return nil, hostile("", "not a tar header after %d entries", len(t.entries))
			}
			return nil, broken(err)
		}
		e, fault := entryOf(h)
		if fault == "" {
			fault = t.add(e)
		}
		if fault != "" {
			return nil, hostile(h.Name, "%s", fault)
		}
		if len(t.entries) > o.MaxFiles {
			return nil, hostile(h.Name, "more than %d entries", o.MaxFiles)
		}
		want := list[e.Path]
		if e.SHA256 = want.SHA256; list != nil && e != want {
			return nil, hostile(h.Name, "not what the archive's own list says")
		}
		if e.Type != TypeFile {
			if err := fn(e, nil); err != nil {
				return nil, err
			}
			continue
		}
		if sum += e.Size; sum > o.MaxBytes || sum < 0 {
			return nil, hostile(h.Name, "unpacks to more than the %d bytes allowed", o.MaxBytes)
		}
		body := &entryReader{plain: plain, left: e.Size, padding: -e.Size & (tarBlock - 1), bufs: bufs, tell: func(n int) {
			done += int64(n)
			if o.Progress != nil {
				o.Progress(done, given.MaxBytes)
			}
		}}
		if list == nil {
			body.h = sha256.New()
		}
		if err := fn(e, body); err != nil {
			if body.err != nil && errors.Is(err, body.err) {
				return nil, broken(err)
			}
			return nil, err
		}
		if err := body.finish(); err != nil {
			return nil, broken(err)
		}
		if list == nil {
			e.SHA256 = hex.EncodeToString(body.h.Sum(nil))
		}
		t.entries[len(t.entries)-1].SHA256 = e.SHA256
	}
	if list != nil && len(t.entries) < len(list) {
		return nil, hostile("", "holds %d entries, its own list has %d", len(t.entries), len(list))
	}
	if p, f := t.linkFault(); f != "" {
		return nil, hostile(p, "%s", f)
	}
	rest, err := io.ReadAll(io.LimitReader(plain, maxPadding+1))
	if err != nil {
		return nil, broken(err)
	}
	if len(rest) > maxPadding || len(bytes.TrimRight(rest, "\x00")) > 0 {
		return nil, hostile("", "holds more after the end of the tar")
	}
	return t, nil
}

// entryOf takes from a tar header what a part may hold, and names what it may not.
func entryOf(h *tar.Header) (e Entry, fault string) {
	switch h.Typeflag {
	case tar.TypeReg:
		e = Entry{Path: h.Name, Type: TypeFile, Mode: fs.FileMode(h.Mode), Size: h.Size}
	case tar.TypeDir:
		e = Entry{Path: strings.TrimSuffix(h.Name, "/"), Type: TypeDir, Mode: fs.FileMode(h.Mode)}
	case tar.TypeSymlink:
		e = Entry{Path: h.Name, Type: TypeLink, Mode: 0o777, Target: h.Linkname}
	case tar.TypeLink:
		return e, fmt.Sprintf("hard link to %q", h.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		return e, "device"
	case tar.TypeFifo:
		return e, "named pipe"
	case tar.TypeGNUSparse:
		return e, "sparse file"
	case tar.TypeXGlobalHeader:
		return e, "global header"
	default:
		return e, fmt.Sprintf("entry of unknown type %q", h.Typeflag)
	}
	if h.Mode < 0 || h.Mode > 0o777 {
		return e, fmt.Sprintf("mode %#o", h.Mode)
	}
	if h.Format != tar.FormatUSTAR && h.Format != tar.FormatPAX {
		return e, fmt.Sprintf("tar format %v, only USTAR and PAX are allowed", h.Format)
	}
	for k := range h.PAXRecords {
		switch k {
		case "path", "linkpath", "size":
		default:
			return e, fmt.Sprintf("extended header %q", k)
		}
	}
	if h.Typeflag != tar.TypeReg && h.Size != 0 {
		return e, "size on something that is no file"
	}
	return e, ""
}

// tarBlock is what a tar is counted in.
const tarBlock = 512

// entryReader is one file in a tar. What is read of it h is told, unless it is nil.
type entryReader struct {
	plain   *boundedReader
	left    int64 // of the file
	padding int64 // behind it
	h       hash.Hash
	tell    func(n int)
	bufs    *pool[[]byte] // of the walk
	err     error
}

func (b *entryReader) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	taken, err := b.take(len(p))
	return copy(p, taken), err
}

// take is frameReader's, of the file.
func (b *entryReader) take(n int) ([]byte, error) {
	p, err := b.plain.take(int(min(int64(n), b.left)))
	if b.h != nil {
		_, _ = b.h.Write(p) // a hash does not fail
	}
	return p, b.came(len(p), err)
}

// came counts n bytes of the file, and says what err behind them means.
func (b *entryReader) came(n int, err error) error {
	if b.left -= int64(n); n > 0 {
		b.tell(n)
	}
	if b.left > 0 {
		b.err = unexpectedEOF(err)
	}
	return b.err
}

// finish reads what nobody read of the file, and what pads it.
func (b *entryReader) finish() error {
	for b.left > 0 {
		if _, err := b.take(pieceSize); err != nil {
			return err
		}
	}
	var padding [tarBlock]byte
	_, err := fill(b.plain, padding[:b.padding])
	return unexpectedEOF(err)
}

// WriteTo is io.WriterTo: it writes from where the file was decompressed, and to
// where pages begin, which the kernel has a quarter less work with.
func (b *entryReader) WriteTo(w io.Writer) (written int64, err error) {
	if b.h != nil {
		return b.writeHashed(w)
	}
	for b.left > 0 && err == nil {
		var p []byte
		p, err = b.take(pieceSize - int(written%pieceSize))
		n, werr := w.Write(p)
		if written += int64(n); werr != nil {
			return written, werr
		}
	}
	return written, err
}

// writeHashed has what was read hashed while it is written and more is read, which
// one core does not do as fast as several decompress.
func (b *entryReader) writeHashed(w io.Writer) (written int64, err error) {
	pieces := make(chan []byte, hashedBehind)
	var hashing sync.WaitGroup
	hashing.Go(func() {
		for p := range pieces {
			_, _ = b.h.Write(p)
			b.bufs.put(p)
		}
	})
	defer hashing.Wait()
	defer close(pieces)
	for b.left > 0 && err == nil {
		buf, _ := b.bufs.get(nil)
		var n int
		n, err = fill(b.plain, buf[:min(int64(cap(buf)), b.left)])
		err = b.came(n, err)
		k, werr := w.Write(buf[:n])
		pieces <- buf[:n]
		if written += int64(k); werr != nil {
			return written, werr
		}
	}
	return written, err
}

// hashedBehind is how many pieces the hash of a file may be behind what is written.
const hashedBehind = 4

func newBufs() *pool[[]byte] {
	return newPool(hashedBehind, func() []byte { return make([]byte, pieceSize) })
}

// fill reads until p is full, and says what ended it before.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// unexpectedEOF is err, where its reader may not end.
func unexpectedEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // the end itself: a reader that fails may wrap it
		return io.ErrUnexpectedEOF
	}
	return err
}

// boundedReader fails, rather than ends, when more than left bytes are there.
type boundedReader struct {
	r          *frameReader
	read, left int64
	over       error
}

// take is frameReader's.
func (b *boundedReader) take(n int) ([]byte, error) {
	p, err := b.r.take(int(min(int64(n), max(b.left, 1))))
	if b.left <= 0 && len(p) > 0 {
		return nil, b.over
	}
	b.left -= int64(len(p))
	b.read += int64(len(p))
	return p, err
}

func (b *boundedReader) Read(p []byte) (int, error) {
	taken, err := b.take(len(p))
	return copy(p, taken), err
}

package bundles

import (
	"context"
	"fmt"
	"io"
)

const (
	// wholeMember is the largest file that ReadMembers holds in memory at once.
	wholeMember = 8 << 20
	// maxPasses bounds how often an archive is read again for one that asks
	// for its bytes in a hopeless order.
	maxPasses = 32
	// maxScattered is how many larger files are open at a time; the others
	// wait for a later pass.
	maxScattered = 3
)

// ReadMembers reads the files of an archive at any offset without unpacking it:
// visit is called once for every entry, r being nil for folders and links and
// good until visit returns. Refused is what Unpack refuses.
//
// A compressed archive can only be read forwards. Files up to 8 MiB are held in
// memory while they are visited; of a larger one its head, its end and what was
// last read are kept, and a visit that goes back behind that waits until the
// archive is read again from its start. One more pass serves all the files that
// wait, so the number of passes is that of the file that goes back most often;
// more than 32 is a *HostileError. Memory stays below 32 MiB beside the
// decoder's window, whatever the archive holds.
//
// open gives the archive's bytes from the start, once for each pass; they must
// be the same each time, which is checked. No two visits run at the same time,
// but visits of large files interleave: the order in which they end is not the
// archive's. An error of visit ends the reading and is returned as it is.
//
// contents is the digest of the tree: the caller compares it with Part.Contents.
// Until ReadMembers has returned without an error nothing that visit saw is to
// be believed. UnpackOptions.Sync means nothing here; Progress is told of the
// first pass.
func ReadMembers(ctx context.Context, open func(context.Context) (io.ReadCloser, error), o UnpackOptions,
	visit func(e Entry, r io.ReaderAt) error) (contents string, err error) {
	m := &memberReader{visit: visit, quit: make(chan struct{}), visited: map[string]bool{}}
	defer m.stop()
	o.decoder = newFrameDecoder(o)
	defer o.decoder.Close()
	var t *tree
	for pass := 1; ; pass++ {
		again, err := m.pass(ctx, open, o)
		if err != nil {
			return "", err
		}
		switch {
		case t == nil:
			t = again
		case t.digest() != again.digest():
			return "", fmt.Errorf("reading archive %s: it changed while it was read", o.Name)
		}
		if m.finished(t) {
			return t.digest(), nil
		}
		if pass == maxPasses {
			return "", &HostileError{Archive: o.Name, Reason: fmt.Sprintf("its files cannot be read in %d passes", maxPasses)}
		}
		o.Progress = nil
	}
}

// memberReader is what the passes over one archive share.
type memberReader struct {
	visit   func(Entry, io.ReaderAt) error
	quit    chan struct{}
	open    []*scattered
	visited map[string]bool
	whole   memory
}

// pass reads the archive once and serves what waits on the way.
func (m *memberReader) pass(ctx context.Context, open func(context.Context) (io.ReadCloser, error), o UnpackOptions) (*tree, error) {
	in, err := open(ctx)
	if err != nil {
		return nil, err
	}
	t, err := walk(ctx, in, o, m.entry)
	if err != nil {
		in.Close()
		return nil, err
	}
	return t, in.Close()
}

func (m *memberReader) entry(e Entry, r io.Reader) error {
	if e.Type == TypeFile && e.Size > wholeMember {
		return m.large(e, r)
	}
	if m.visited[e.Path] {
		return nil
	}
	m.visited[e.Path] = true
	if e.Type != TypeFile {
		return m.visit(e, nil)
	}
	if int64(cap(m.whole)) < e.Size {
		m.whole = make(memory, max(e.Size, 1<<20))
	}
	if _, err := io.ReadFull(r, m.whole[:e.Size]); err != nil {
		return err
	}
	return m.visit(e, m.whole[:e.Size])
}

// large streams a large file past its visit, which begins with it or in the
// first pass that has room.
func (m *memberReader) large(e Entry, r io.Reader) error {
	var s *scattered
	for _, o := range m.open {
		if o.entry.Path == e.Path {
			s = o
		}
	}
	if s == nil {
		if m.visited[e.Path] || len(m.open) == maxScattered {
			return nil
		}
		m.visited[e.Path] = true
		s = newScattered(e, m.visit, m.quit)
		m.open = append(m.open, s)
	}
	done, err := s.stream(r)
	if done {
		m.drop(s)
	}
	return err
}

func (m *memberReader) drop(s *scattered) {
	for i, o := range m.open {
		if o == s {
			m.open = append(m.open[:i], m.open[i+1:]...)
			return
		}
	}
}

// finished says whether every entry was visited to its end.
func (m *memberReader) finished(t *tree) bool {
	return len(m.open) == 0 && len(m.visited) == len(t.entries)
}

// stop ends the visits that still wait, and waits for them.
func (m *memberReader) stop() {
	close(m.quit)
	for _, s := range m.open {
		<-s.result
	}
}

// memory is a file that is held whole.
type memory []byte

func (b memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

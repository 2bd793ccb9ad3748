package bundles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// A part begins with a list of what is in it: the very lines of which
// Part.Contents is the digest (see TreeDigest), in a skippable frame, which every
// zstd leaves out. Who was told Part.Contents by a signature knows by it what each
// file's hash is before the first one comes, and need not hash what it unpacks: see
// UnpackOptions.Listed.
const (
	listMagic  = 0x184D2A51
	listHeader = 8
	// maxList is the longest list that is written or read: some 6,000 files.
	maxList = 1 << 20
)

// listFrame is what stands before the frames of a part that holds what lines say,
// nothing where they are too many.
func listFrame(lines []byte) []byte {
	if len(lines) > maxList {
		return nil
	}
	b := binary.LittleEndian.AppendUint32(nil, listMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(lines))) //nolint:gosec // at most maxList
	return append(b, lines...)
}

// readList takes the list off the front of an archive, nil where there is none.
// rest is what follows, and fails as r did.
func readList(r io.Reader) (list []byte, rest io.Reader) {
	head := make([]byte, listHeader)
	n, err := fill(r, head)
	r = failing(r, err)
	if n < listHeader || binary.LittleEndian.Uint32(head) != listMagic || binary.LittleEndian.Uint32(head[4:]) > maxList {
		return nil, io.MultiReader(bytes.NewReader(head[:n]), r)
	}
	list = make([]byte, binary.LittleEndian.Uint32(head[4:]))
	if n, err = fill(r, list); n < len(list) {
		return nil, failing(r, unexpectedEOF(err))
	}
	return list, failing(r, err)
}

// failing is r, or what has failed already.
func failing(r io.Reader, err error) io.Reader {
	if err != nil {
		return failed{err}
	}
	return r
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// parseList reads the lines of a tree. They are in the one form that treeLines
// gives them, of a tree that a part can hold.
func parseList(list []byte) (map[string]Entry, error) {
	bad := errors.New("not the lines of a tree")
	lines := strings.Split(string(list), "\n")
	if lines[0] != treeHead || lines[len(lines)-1] != "" {
		return nil, bad
	}
	var entries []Entry
	byPath := map[string]Entry{}
	for _, line := range lines[1 : len(lines)-1] {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			return nil, bad
		}
		e := Entry{Type: f[0], Path: f[4]}
		switch e.Type {
		case TypeFile:
			mode, err := strconv.ParseUint(f[1], 8, 32)
			if err != nil {
				return nil, bad
			}
			size, err := strconv.ParseInt(f[2], 10, 64)
			if err != nil || !isSHA256Hex(f[3]) {
				return nil, bad
			}
			e.Mode, e.Size, e.SHA256 = fs.FileMode(mode), size, f[3]
		case TypeDir:
			e.Mode = 0o755
		case TypeLink:
			e.Mode, e.Target = 0o777, f[3]
		}
		entries = append(entries, e)
		byPath[e.Path] = e
	}
	if _, err := treeOf(entries); err != nil {
		return nil, err
	}
	if !bytes.Equal(treeLines(entries), list) {
		return nil, bad
	}
	return byPath, nil
}

// listed is what an archive's list says, nil where it has another digest than the
// one that is known.
func listed(list []byte, contents string) map[string]Entry {
	if contents == "" || list == nil || digestOfBytes(list) != contents {
		return nil
	}
	byPath, err := parseList(list)
	if err != nil {
		return nil // no tree has this digest: what is hashed will not have it either
	}
	return byPath
}

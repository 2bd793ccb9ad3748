package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/internal/flock"
)

// sourceRecord is sources/<hex>.json: what was seen of one release source.
type sourceRecord struct {
	Schema int `json:"schema"`
	// Source is the name that was hashed for the file's name.
	Source string `json:"source"`
	// Sequence is the highest seen.
	Sequence  int64  `json:"sequence"`
	Manifest  []byte `json:"manifest"`
	Signature []byte `json:"signature"`
}

func sourceFile(source string) string {
	sum := sha256.Sum256([]byte(source))
	return sourcesDir + "/" + hex.EncodeToString(sum[:16]) + ".json"
}

// SaveManifest remembers the manifest, byte for byte, that was last verified
// from a source, and its sequence. It trusts the caller that bundles.Open
// accepted it. One older than the highest seen is refused with a
// [*DowngradeError], and the record stays. In a store that cannot be written
// the error is fs.ErrPermission; a caller may go on without.
func (s *Store) SaveManifest(source string, raw, sig []byte, sequence int64) error {
	root, err := s.root()
	if err == nil && s.seen(root, source, raw, sig, sequence) {
		root.Close()
		return nil // nothing new, nothing to write
	}
	if err == nil {
		root.Close()
	}
	root, err = s.make()
	if err != nil {
		return readOnly(err)
	}
	defer root.Close()
	unlock, err := lockSources(root)
	if err != nil {
		return readOnly(err)
	}
	defer func() { _ = unlock() }()
	old, err := s.source(root, source)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if sequence < old.Sequence {
		return &DowngradeError{source, old.Sequence, sequence}
	}
	return readOnly(s.writeJSON(root, sourceFile(source), "", sourceRecord{1, source, sequence, raw, sig}))
}

// lockSources takes the lock of sources/, which is the folder itself. It is
// not the store's: that one is held as long as a download takes.
func lockSources(root *os.Root) (unlock func() error, err error) {
	f, err := root.Open(sourcesDir)
	if err != nil {
		return nil, err
	}
	if err := flock.Wait(f); err != nil {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}

// seen says whether the record holds just this.
func (s *Store) seen(root *os.Root, source string, raw, sig []byte, sequence int64) bool {
	rec, err := s.source(root, source)
	return err == nil && rec.equal(sourceRecord{1, source, sequence, raw, sig})
}

func (r sourceRecord) equal(o sourceRecord) bool {
	return r.Source == o.Source && r.Sequence == o.Sequence && bytes.Equal(r.Manifest, o.Manifest) && bytes.Equal(r.Signature, o.Signature)
}

// LastManifest returns what SaveManifest saved last, for work without a
// network. The bytes are the user's disk's: open them with bundles.Open again.
// The error is fs.ErrNotExist where nothing was saved.
func (s *Store) LastManifest(source string) (raw, sig []byte, err error) {
	root, err := s.root()
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	rec, err := s.source(root, source)
	return rec.Manifest, rec.Signature, err
}

// usedFile is where the manifest is that the last install from a source was of.
func usedFile(source string) string {
	return strings.TrimSuffix(sourceFile(source), ".json") + ".used.json"
}

// UseManifest remembers the manifest, byte for byte, that a bundle was installed
// from: what a server goes on with until somebody asks for another release. It
// may be older than the last verified one. In a store that cannot be written the
// error is fs.ErrPermission; a caller may go on without.
func (s *Store) UseManifest(source string, raw, sig []byte, sequence int64) error {
	rec := sourceRecord{1, source, sequence, raw, sig}
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if old, err := s.read(root, usedFile(source), source); err == nil && old.equal(rec) {
		return nil
	}
	unlock, err := lockSources(root)
	if err != nil {
		return readOnly(err)
	}
	defer func() { _ = unlock() }()
	return readOnly(s.writeJSON(root, usedFile(source), "", rec))
}

// UsedManifest returns what UseManifest saved. The bytes are the user's disk's:
// open them with bundles.Open again. The error is fs.ErrNotExist where nothing
// was installed from the source.
func (s *Store) UsedManifest(source string) (raw, sig []byte, err error) {
	root, err := s.root()
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	rec, err := s.read(root, usedFile(source), source)
	return rec.Manifest, rec.Signature, err
}

// Sequence is the highest sequence seen from a source, 0 where none was. A
// record that cannot be read gives 0 too, but SaveManifest then says what is
// wrong, so a damaged record does not pass in silence.
func (s *Store) Sequence(source string) int64 {
	root, err := s.root()
	if err != nil {
		return 0
	}
	defer root.Close()
	rec, err := s.source(root, source)
	if err != nil {
		return 0
	}
	return rec.Sequence
}

func (s *Store) source(root *os.Root, source string) (sourceRecord, error) {
	return s.read(root, sourceFile(source), source)
}

func (s *Store) read(root *os.Root, name, source string) (sourceRecord, error) {
	var rec sourceRecord
	err := readJSON(root, name, &rec)
	if err != nil || rec.Source != source || rec.Schema != 1 {
		if err == nil {
			err = fmt.Errorf("it is of source %q", rec.Source)
		}
		return sourceRecord{}, s.fileError("reading what was seen of "+source+" in", name, err)
	}
	return rec, nil
}

func readOnly(err error) error {
	if errors.Is(err, unix.EROFS) {
		return readOnlyError{err}
	}
	return err
}

package bundles

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"aead.dev/minisign"
)

// pinned are the public keys that every runner trusts unasked, as minisign
// prints them. Empty until the owner adds one; two, so that a new key can be
// pinned releases before the old one is retired.
var pinned = [2]string{}

// PinnedKeys are the keys built into the program; none until the owner adds one.
func PinnedKeys() ([]PublicKey, error) {
	var keys []PublicKey
	for _, text := range pinned {
		if text == "" {
			continue
		}
		k, err := ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("pinned key: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// PublicKey is a minisign public key.
type PublicKey struct{ key minisign.PublicKey }

// ID is the key's id as minisign prints it. It is a name, not a proof.
func (k PublicKey) ID() string { return keyID(k.key.ID()) }

// String is the key in one line of base64, as `--key` takes it.
func (k PublicKey) String() string { return k.key.String() }

func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// ParsePublicKey reads a key from its line of base64 or from the whole text of
// a .pub file.
func ParsePublicKey(text string) (PublicKey, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) == 2 && strings.HasPrefix(lines[0], "untrusted comment:") {
		lines = lines[1:]
	}
	line := strings.TrimSpace(lines[0])
	if len(lines) != 1 || line == "" {
		return PublicKey{}, errors.New("public key: neither a line of base64 nor a minisign .pub file")
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(line); err != nil {
		return PublicKey{}, fmt.Errorf("public key %q: %w", line, err)
	}
	var k PublicKey
	if err := k.key.UnmarshalText([]byte(line)); err != nil {
		return PublicKey{}, fmt.Errorf("public key %q: %w", line, err)
	}
	return k, nil
}

// ReadPublicKey reads a .pub file.
func ReadPublicKey(path string) (PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return PublicKey{}, fmt.Errorf("reading public key: %w", err)
	}
	k, err := ParsePublicKey(string(data))
	if err != nil {
		return PublicKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// KeysIn splits what LLCUDA_KEY holds: one key, which may be a .pub file's whole
// text, or several between blanks.
func KeysIn(v string) []string {
	if _, err := PublicKeyOf(v); err == nil && v != "" {
		return []string{v}
	}
	return strings.Fields(v)
}

// TrustedKeys are the pinned keys and those that a user gives: each the line of a
// public key or the name of a .pub file, else a *GivenKeyError.
func TrustedKeys(given []string) ([]PublicKey, error) {
	keys, err := PinnedKeys()
	if err != nil {
		return nil, err
	}
	for _, spec := range given {
		key, err := PublicKeyOf(spec)
		if err != nil {
			return nil, &GivenKeyError{Err: err}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// GivenKeyError says that a key that the user gave is none.
type GivenKeyError struct{ Err error }

func (e *GivenKeyError) Error() string { return "--key: " + e.Err.Error() }
func (e *GivenKeyError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *GivenKeyError) Hint() string {
	return "give the line of a minisign public key, or the name of its .pub file"
}

// ExitCode is 2: the command line is wrong.
func (e *GivenKeyError) ExitCode() int { return 2 }

// PublicKeyOf reads what a user gives as `--key`: the key itself or the path
// of a .pub file.
func PublicKeyOf(spec string) (PublicKey, error) {
	k, err := ParsePublicKey(spec)
	if err == nil {
		return k, nil
	}
	if _, serr := os.Stat(spec); serr != nil {
		return PublicKey{}, fmt.Errorf("%w (and there is no such file)", err)
	}
	return ReadPublicKey(spec)
}

// PrivateKey is a minisign private key. Its bytes never leave it but through WriteKeyFiles.
type PrivateKey struct{ key minisign.PrivateKey }

// IsZero says that no key was loaded.
func (k PrivateKey) IsZero() bool { return k.key.Equal(minisign.PrivateKey{}) }

// Public is the key that signatures are checked with.
func (k PrivateKey) Public() PublicKey {
	return PublicKey{k.key.Public().(minisign.PublicKey)}
}

// Format keeps a key out of logs, whatever the verb.
func (k PrivateKey) Format(s fmt.State, _ rune) { fmt.Fprint(s, "private key "+k.Public().ID()) }

// GenerateKey makes a key pair. random is crypto/rand's where nil.
func GenerateKey(random io.Reader) (PrivateKey, error) {
	_, key, err := minisign.GenerateKey(random)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("generating key: %w", err)
	}
	return PrivateKey{key}, nil
}

// WriteKeyFiles writes the pair in minisign's own formats: path (mode 0600)
// and path+".pub". Neither may exist: a key is never overwritten.
//
// With a password the private key is encrypted as minisign does it (scrypt
// with 1 GiB of memory, some seconds). Without one it is the file that
// `minisign -G -W` writes, for a secret of continuous integration: whoever
// reads it can sign.
func WriteKeyFiles(path string, k PrivateKey, password string) error {
	text, err := k.key.MarshalText()
	if err == nil && password != "" {
		text, err = minisign.EncryptKey(password, k.key)
	}
	if err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	pub, err := k.Public().key.MarshalText()
	if err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	if _, err := os.Lstat(path + ".pub"); err == nil {
		return fmt.Errorf("writing key: %s.pub exists already", path)
	}
	if err := createFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	if err := createFile(path+".pub", append(pub, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	return nil
}

func createFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, werr := f.Write(data)
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return errors.Join(werr, err, f.Close())
	}
	return errors.Join(werr, f.Sync(), f.Close(), d.Sync(), d.Close())
}

// KeyEncrypted says whether the text of a private key file needs a password.
func KeyEncrypted(text []byte) bool { return minisign.IsEncrypted(text) }

// ParsePrivateKey reads the text of a private key file, with its password
// where it has one.
func ParsePrivateKey(text []byte, password string) (PrivateKey, error) {
	if KeyEncrypted(text) {
		if password == "" {
			return PrivateKey{}, errors.New("private key: it is encrypted and no password was given")
		}
		key, err := minisign.DecryptKey(password, text)
		if err != nil {
			return PrivateKey{}, errors.New("private key: the password is wrong or the file is damaged")
		}
		return PrivateKey{key}, nil
	}
	var k PrivateKey
	if err := k.key.UnmarshalText(text); err != nil {
		// The text of the error could quote the key: it is left out.
		return PrivateKey{}, errors.New("private key: not a minisign private key file")
	}
	return k, nil
}

package bundles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"aead.dev/minisign"
)

// MaxSignatureSize bounds a signature file, in bytes; a real one has about 350.
const MaxSignatureSize = 4 << 10

// Sign signs the bytes of a file for one repository, release and file name.
// The same arguments give the same signature; `minisign -V` verifies it.
func Sign(data []byte, key PrivateKey, c Claim) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("signing: no key")
	}
	if err := CheckTag(c.Release); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if c.File == "" {
		return nil, errors.New("signing: the claim names no file")
	}
	if n := len(c.String()); n > 1024 {
		return nil, fmt.Errorf("signing: claim of %d bytes", n)
	}
	r := minisign.NewReader(bytes.NewReader(data))
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return r.SignWithComments(key.key, c.String(), "signature from minisign secret key of llcuda-build"), nil
}

// Want is what the caller asked a source for.
type Want struct {
	// Repository that the manifest must be signed for; empty = any (a folder
	// or mirror may hold the releases of a repository under its own address).
	Repository string
	// Release that was asked for; empty = any.
	Release string
	// File is ManifestName where empty.
	File string
	// MinSequence is the highest sequence seen of this source; 0 = none seen.
	MinSequence int64
}

// Open is the way to a *Manifest that may be believed: the signature is one of
// a trusted key over exactly these bytes, made for the repository, release and
// file that were asked for; the manifest says the same release, holds
// together, and is not older than what was seen before.
//
// Errors: *UntrustedKeyError, *SignatureError, *ClaimError, *SchemaError,
// *DowngradeError; anything else is a fault inside a manifest that was signed.
func Open(manifestJSON, sig []byte, keys []PublicKey, want Want) (*Manifest, error) {
	if len(manifestJSON) > MaxManifestSize {
		return nil, &SignatureError{Reason: fmt.Sprintf("a manifest of %d bytes is longer than any", len(manifestJSON))}
	}
	claim, err := verify(manifestJSON, sig, keys)
	if err != nil {
		return nil, err
	}
	if want.File == "" {
		want.File = ManifestName
	}
	switch {
	case claim.File != want.File:
		return nil, &ClaimError{What: "file", Want: want.File, Got: claim.File}
	case want.Repository != "" && !sameRepository(want.Repository, claim.Repository):
		return nil, &ClaimError{What: "repository", Want: want.Repository, Got: claim.Repository}
	case want.Release != "" && want.Release != claim.Release:
		return nil, &ClaimError{What: "release", Want: want.Release, Got: claim.Release}
	}
	m := new(Manifest)
	if err := decode("manifest", manifestJSON, m); err != nil {
		return nil, err
	}
	if m.Release != claim.Release {
		return nil, &ClaimError{What: "release", Want: m.Release, Got: claim.Release}
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("manifest of release %q: %w", m.Release, err)
	}
	if m.Sequence < want.MinSequence {
		return nil, &DowngradeError{Release: m.Release, Sequence: m.Sequence, Seen: want.MinSequence}
	}
	return m, nil
}

// verify gives the claim of a signature that holds.
func verify(data, sig []byte, keys []PublicKey) (Claim, error) {
	s, err := parseSignature(sig)
	if err != nil {
		return Claim{}, err
	}
	untrusted := &UntrustedKeyError{KeyID: keyID(s.KeyID)}
	known, good := false, false
	for _, k := range keys {
		untrusted.Trusted = append(untrusted.Trusted, k.ID())
		if k.key.ID() == s.KeyID {
			known = true
			good = good || minisign.Verify(k.key, data, sig)
		}
	}
	switch {
	case !known:
		return Claim{}, untrusted
	case !good:
		return Claim{}, &SignatureError{Reason: "it is not one of these bytes by key " + keyID(s.KeyID)}
	}
	c, err := ParseClaim(s.TrustedComment)
	if err != nil {
		return Claim{}, &ClaimError{What: "comment", Got: err.Error()}
	}
	return c, nil
}

// parseSignature is strict: four lines as minisign writes them, in their one
// base64 form, over the hash of the file (the older form, over its bytes,
// would let a signature of a 64-byte file stand for another). Only the
// untrusted comment is free.
func parseSignature(sig []byte) (minisign.Signature, error) {
	var s minisign.Signature
	if len(sig) > MaxSignatureSize {
		return s, &SignatureError{Reason: fmt.Sprintf("%d bytes are longer than any", len(sig))}
	}
	if err := s.UnmarshalText(sig); err != nil {
		return s, &SignatureError{Reason: strings.TrimPrefix(err.Error(), "minisign: ")}
	}
	if s.Algorithm != minisign.HashEdDSA {
		return s, &SignatureError{Reason: "it is of minisign's legacy form; sign without -l"}
	}
	again, err := s.MarshalText()
	if err != nil || !bytes.Equal(again, sig) {
		return s, &SignatureError{Reason: "it is not written as minisign writes it"}
	}
	return s, nil
}

package bundles

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
)

// signed is a manifest, its signature, and what an honest runner wants.
type signed struct {
	key  PrivateKey
	json []byte
	sig  []byte
	want Want
}

func newSigned(t testing.TB) signed {
	t.Helper()
	key, err := GenerateKey(nil)
	must(t, err)
	data, err := sampleManifest(t).Marshal()
	must(t, err)
	s := signed{key: key, json: data, want: Want{Repository: "github:owner/repo", Release: "v1", MinSequence: 7}}
	s.sig = s.sign(t, data, Claim{Repository: "github:owner/repo", Release: "v1", File: ManifestName})
	return s
}

func (s signed) sign(t testing.TB, data []byte, c Claim) []byte {
	t.Helper()
	sig, err := Sign(data, s.key, c)
	must(t, err)
	return sig
}

func (s signed) open(want Want) (*Manifest, error) {
	return Open(s.json, s.sig, []PublicKey{s.key.Public()}, want)
}

func wantError[E error](t testing.TB, m *Manifest, err error, says string) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want a %T that says %q", err, e, says)
	}
	if m != nil {
		t.Error("a manifest came with the error")
	}
	c, ok := error(e).(interface{ ExitCode() int })
	if !ok || c.ExitCode() != 4 {
		t.Errorf("%T does not exit with 4", e)
	}
	h, ok := error(e).(interface{ Hint() string })
	if !ok || h.Hint() == "" {
		t.Errorf("%T has no hint", e)
	}
	return e
}

func TestHonestManifestOpens(t *testing.T) {
	s := newSigned(t)
	other, err := GenerateKey(nil)
	must(t, err)
	for _, want := range []Want{s.want, {}, {Repository: "github:Owner/Repo"}, {File: ManifestName, MinSequence: 1}} {
		m, err := Open(s.json, s.sig, []PublicKey{other.Public(), s.key.Public()}, want)
		if err != nil || m.Release != "v1" || m.Sequence != 7 {
			t.Errorf("Open(%+v) = %+v, %v", want, m, err)
		}
	}
	if again := s.sign(t, s.json, Claim{Repository: "github:owner/repo", Release: "v1", File: ManifestName}); !bytes.Equal(again, s.sig) {
		t.Error("signing twice gives two signatures")
	}
}

func TestNoTrustedKeyIsSaidInASentence(t *testing.T) {
	s := newSigned(t)
	m, err := Open(s.json, s.sig, nil, s.want)
	wantError[*UntrustedKeyError](t, m, err, "no key is trusted: the list of pinned keys is empty until the owner adds one; pass --key")
}

func TestManifestSignedByAStrangerIsRefused(t *testing.T) {
	s := newSigned(t)
	other, err := GenerateKey(nil)
	must(t, err)
	m, err := Open(s.json, s.sig, []PublicKey{other.Public()}, s.want)
	e := wantError[*UntrustedKeyError](t, m, err, "not trusted")
	if e.KeyID != s.key.Public().ID() || e.Trusted[0] != other.Public().ID() {
		t.Errorf("%+v", e)
	}
}

func TestStrangerWhoTakesTheIDOfATrustedKeyIsRefused(t *testing.T) {
	s := newSigned(t)
	stranger, err := GenerateKey(nil)
	must(t, err)
	sig, err := Sign(s.json, stranger, Claim{Repository: "github:owner/repo", Release: "v1", File: ManifestName})
	must(t, err)
	var forged, real minisign.Signature
	must(t, errors.Join(forged.UnmarshalText(sig), real.UnmarshalText(s.sig)))
	forged.KeyID = real.KeyID
	text, err := forged.MarshalText()
	must(t, err)
	m, err := Open(s.json, text, []PublicKey{s.key.Public()}, s.want)
	wantError[*SignatureError](t, m, err, "not one of these bytes")
}

func TestSwappedManifestOfOtherReleaseIsRefused(t *testing.T) {
	s := newSigned(t)
	want := s.want
	want.Release = "v2"
	m, err := s.open(want)
	wantError[*ClaimError](t, m, err, "release")
}

func TestSwappedManifestOfOtherRepositoryIsRefused(t *testing.T) {
	s := newSigned(t)
	for _, repository := range []string{"github:owner/other", "github:owner/repo2", "github:owner", "dir:owner/repo"} {
		m, err := s.open(Want{Repository: repository})
		wantError[*ClaimError](t, m, err, "repository")
	}
}

func TestSignatureOfOtherFileIsRefused(t *testing.T) {
	s := newSigned(t)
	s.sig = s.sign(t, s.json, Claim{Repository: "github:owner/repo", Release: "v1", File: "models.json"})
	m, err := s.open(s.want)
	wantError[*ClaimError](t, m, err, "file")
}

func TestManifestThatSaysAnotherReleaseThanItsSignatureIsRefused(t *testing.T) {
	s := newSigned(t)
	s.sig = s.sign(t, s.json, Claim{Repository: "github:owner/repo", Release: "v2", File: ManifestName})
	m, err := s.open(Want{Release: "v2"})
	wantError[*ClaimError](t, m, err, "release")
}

func TestSignatureWithoutAClaimIsRefused(t *testing.T) {
	s := newSigned(t)
	for _, comment := range []string{"timestamp:1700000000", "", "llcuda repository= release=v1", "llcuda repository= release=v1 file=manifest.json more=1",
		"llcuda release=v1 repository= file=manifest.json", "llcuda repository=%61 release=v1 file=manifest.json"} {
		r := minisign.NewReader(bytes.NewReader(s.json))
		if _, err := r.Read(make([]byte, len(s.json)+1)); err != nil {
			t.Fatal(err)
		}
		s.sig = r.SignWithComments(s.key.key, comment, "x")
		m, err := s.open(Want{})
		wantError[*ClaimError](t, m, err, "")
	}
}

func TestDowngradeIsRefused(t *testing.T) {
	s := newSigned(t)
	want := s.want
	want.MinSequence = 8
	m, err := s.open(want)
	e := wantError[*DowngradeError](t, m, err, "older release")
	if e.Sequence != 7 || e.Seen != 8 {
		t.Errorf("%+v", e)
	}
}

func TestTruncatedSignatureIsRefused(t *testing.T) {
	s := newSigned(t)
	whole := s.sig
	for n := range whole {
		s.sig = whole[:n]
		m, err := s.open(s.want)
		wantError[*SignatureError](t, m, err, "")
	}
	for _, tail := range []string{"\n", " ", "x", string(whole)} {
		s.sig = append(bytes.Clone(whole), tail...)
		m, err := s.open(s.want)
		wantError[*SignatureError](t, m, err, "")
	}
}

func TestFlippedByteOfTheSignatureIsRefused(t *testing.T) {
	s := newSigned(t)
	whole := s.sig
	// The first line is minisign's untrusted comment: free by its format.
	for i := bytes.IndexByte(whole, '\n') + 1; i < len(whole); i++ {
		for bit := range 8 {
			s.sig = bytes.Clone(whole)
			s.sig[i] ^= 1 << bit
			if m, err := s.open(s.want); err == nil || m != nil {
				t.Fatalf("byte %d, bit %d of the signature does not count", i, bit)
			}
		}
	}
}

func TestFlippedByteOfTheManifestIsRefused(t *testing.T) {
	s := newSigned(t)
	whole := s.json
	for i := range whole {
		s.json = bytes.Clone(whole)
		s.json[i] ^= 1
		m, err := s.open(s.want)
		wantError[*SignatureError](t, m, err, "")
	}
	s.json = whole[:len(whole)-1]
	m, err := s.open(s.want)
	wantError[*SignatureError](t, m, err, "")
}

func TestSignatureOverTheFileInsteadOfItsHashIsRefused(t *testing.T) {
	s := newSigned(t)
	s.sig = minisign.SignWithComments(s.key.key, s.json, Claim{Release: "v1", File: ManifestName}.String(), "x")
	m, err := s.open(Want{})
	wantError[*SignatureError](t, m, err, "legacy")
}

func TestSignedNonsenseIsStillNonsense(t *testing.T) {
	s := newSigned(t)
	claim := Claim{Repository: "github:owner/repo", Release: "v1", File: ManifestName}
	s.json = []byte(`{"schema":2}`)
	s.sig = s.sign(t, s.json, claim)
	m, err := s.open(s.want)
	wantError[*SchemaError](t, m, err, "update llcuda-run")

	s.json = []byte(`{"schema":1,"release":"v1","sequence":9,"bundles":[{"id":"x","app":"../../etc"}]}`)
	s.sig = s.sign(t, s.json, claim)
	if m, err := s.open(s.want); err == nil || m != nil {
		t.Errorf("Open = %v, %v", m, err)
	}
}

func TestClaimsAreInjective(t *testing.T) {
	for _, c := range []Claim{
		{"github:O/R", "v1", "manifest.json"}, {"", "v1", "f"}, {"a b", "v 1", "x=y"}, {"a release=v2", "v1", "f"},
		{"%20", " ", "%"}, {"é\n", "\x00", "+"},
	} {
		got, err := ParseClaim(c.String())
		if err != nil || got != c {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
		if strings.Count(c.String(), " ") != 3 || strings.ContainsAny(c.String(), "\n\x00") {
			t.Errorf("text %q", c.String())
		}
	}
}

func FuzzParseClaim(f *testing.F) {
	f.Add(Claim{"github:O/R", "v1", "manifest.json"}.String())
	f.Add("llcuda repository=%41 release= file=")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseClaim(text); err == nil && c.String() != text {
			t.Errorf("%q was read as %+v", text, c)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s := newSigned(f)
	f.Add(s.json, s.sig)
	f.Fuzz(func(t *testing.T, data, sig []byte) {
		m, err := Open(data, sig, []PublicKey{s.key.Public()}, Want{})
		if err == nil && !bytes.Equal(data, s.json) {
			t.Errorf("a forged manifest opens: %+v", m)
		}
	})
}

func TestSignatureOfTheMinisignProgramHolds(t *testing.T) {
	// Made by minisign 0.11: minisign -Sm manifest.json -t "llcuda repository=…",
	// over the three bytes "{}\n".
	key, err := ReadPublicKey(filepath.Join("testdata", "minisign", "ms.pub"))
	must(t, err)
	sig, err := os.ReadFile(filepath.Join("testdata", "minisign", "manifest.json.minisig"))
	must(t, err)
	c, err := verify([]byte("{}\n"), sig, []PublicKey{key})
	if err != nil || c != (Claim{"github:OWNER/REPO", "v1", ManifestName}) {
		t.Errorf("claim %+v, %v", c, err)
	}
	if key.ID() != "6DF0505ACE34DDAE" {
		t.Errorf("key id %s", key.ID())
	}
}

func TestKeyFilesAreMinisigns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.key")
	key, err := GenerateKey(nil)
	must(t, err)
	must(t, WriteKeyFiles(path, key, ""))
	text, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	back, err := ParsePrivateKey(text, "")
	if err != nil || back.Public().String() != key.Public().String() {
		t.Errorf("read back %v, %v", back, err)
	}
	if KeyEncrypted(text) || back.IsZero() || !(PrivateKey{}).IsZero() {
		t.Error("encrypted or zero")
	}
	for _, spec := range []string{path + ".pub", key.Public().String(), "  " + key.Public().String() + "\n"} {
		if pub, err := PublicKeyOf(spec); err != nil || pub.String() != key.Public().String() {
			t.Errorf("PublicKeyOf(%q) = %v, %v", spec, pub, err)
		}
	}
	if err := WriteKeyFiles(path, key, ""); err == nil {
		t.Error("a key was overwritten")
	}
	must(t, os.Remove(path))
	if err := WriteKeyFiles(path, key, ""); err == nil {
		t.Error("a public key was overwritten")
	}
	secret := strings.Split(string(text), "\n")[1]
	for _, s := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v %x", key, key, key), fmt.Sprintf("%v", &key)} {
		if strings.Contains(s, secret[60:80]) || !strings.Contains(s, "private key") {
			t.Errorf("printed as %q", s)
		}
	}
}

func TestEncryptedKeyNeedsItsPassword(t *testing.T) {
	// testdata: written with scrypt's least cost, so that reading it takes
	// milliseconds; WriteKeyFiles spends 1 GiB and seconds.
	text, err := os.ReadFile(filepath.Join("testdata", "minisign", "encrypted.key"))
	must(t, err)
	pub, err := ReadPublicKey(filepath.Join("testdata", "minisign", "encrypted.key.pub"))
	must(t, err)
	if !KeyEncrypted(text) {
		t.Error("not encrypted")
	}
	for password, ok := range map[string]bool{"open sesame": true, "wrong": false, "": false} {
		key, err := ParsePrivateKey(text, password)
		if (err == nil) != ok {
			t.Errorf("password %q: %v", password, err)
		}
		if ok && key.Public().String() != pub.String() {
			t.Errorf("another key: %v", key)
		}
	}
}

func TestWrongKeysAreNamedWrong(t *testing.T) {
	for _, text := range []string{"", "x", "RWQ=", "untrusted comment: x\n", "untrusted comment: x\nRWQ=\n", strings.Repeat("A", 56), "a\nb\nc"} {
		if _, err := ParsePublicKey(text); err == nil {
			t.Errorf("public key %q passes", text)
		}
		if _, err := ParsePrivateKey([]byte(text), ""); err == nil {
			t.Errorf("private key %q passes", text)
		}
	}
}

func TestPinnedKeysParse(t *testing.T) {
	if _, err := PinnedKeys(); err != nil {
		t.Error(err)
	}
}

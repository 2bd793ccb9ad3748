package bundles

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// digestPrefix names the one algorithm in use. A digest of another is refused,
// not skipped.
const digestPrefix = "sha256:"

// SHA256Hex takes the 64 lower-case hex digits out of a digest "sha256:<hex>".
func SHA256Hex(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, digestPrefix)
	if !ok {
		return "", fmt.Errorf("digest %q: does not begin with %q", digest, digestPrefix)
	}
	if !isSHA256Hex(h) {
		return "", fmt.Errorf("digest %q: not 64 lower-case hex digits", digest)
	}
	return h, nil
}

func isSHA256Hex(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func digestOf(h hash.Hash) string { return digestPrefix + hex.EncodeToString(h.Sum(nil)) }

func digestOfBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return digestPrefix + hex.EncodeToString(sum[:])
}

package bundles

import (
	"fmt"
	"net/url"
	"strings"
)

// Claim is what a signature says it is for: its trusted comment. It keeps a
// signature from being used for another repository, release or file.
type Claim struct {
	// Repository is the release source as the publisher names it,
	// "github:OWNER/REPO"; empty for a folder that has no name.
	Repository string
	// Release is the tag.
	Release string
	// File is the name of the signed file.
	File string
}

// String is the trusted comment:
//
//	llcuda repository=github:OWNER/REPO release=v1 file=manifest.json
//
// Bytes of a value other than letters, digits and ._~:/@+- are written as %XX, so
// two claims never have the same text.
func (c Claim) String() string {
	return "llcuda repository=" + escape(c.Repository) + " release=" + escape(c.Release) + " file=" + escape(c.File)
}

// ParseClaim reads exactly what String writes, and nothing else.
func ParseClaim(comment string) (Claim, error) {
	bad := fmt.Errorf("trusted comment %q: not of the form \"llcuda repository=… release=… file=…\"", comment)
	fields := strings.Split(comment, " ")
	if len(fields) != 4 || fields[0] != "llcuda" {
		return Claim{}, bad
	}
	var c Claim
	for i, to := range []struct {
		name  string
		value *string
	}{{"repository=", &c.Repository}, {"release=", &c.Release}, {"file=", &c.File}} {
		text, ok := strings.CutPrefix(fields[i+1], to.name)
		if !ok {
			return Claim{}, bad
		}
		v, err := url.PathUnescape(text)
		if err != nil {
			return Claim{}, bad
		}
		*to.value = v
	}
	if c.String() != comment {
		return Claim{}, bad
	}
	return c, nil
}

func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._~:/@+-", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// sameRepository compares names as their host does: GitHub ignores case.
func sameRepository(a, b string) bool {
	if strings.HasPrefix(a, "github:") {
		return strings.EqualFold(a, b)
	}
	return a == b
}

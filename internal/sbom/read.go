package sbom

import (
	"context"
	"crypto/sha1" // SPDX asks for it beside SHA-256
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/waqasm86/llcuda/bundles"
)

// licences is the folder of a part that holds licence texts.
const licences = "LICENSES/"

// maxText bounds a licence text: NVIDIA's whole EULA has about 60 KB.
const maxText = 1 << 20

// content is what was read of a part.
type content struct {
	files []hashed
	// texts are the licence texts by file name, without the folder.
	texts map[string]string
	// digest is the tree's, as bundles.Walk computes it.
	digest string
}

type hashed struct {
	path         string
	sha1, sha256 string
	executable   bool
}

// read hashes every file of a packed part and keeps its licence texts.
func read(ctx context.Context, name string, r io.Reader) (content, error) {
	c := content{texts: map[string]string{}}
	digest, err := bundles.Walk(ctx, r, bundles.UnpackOptions{Name: name}, func(e bundles.Entry, r io.Reader) error {
		if e.Type != bundles.TypeFile {
			return nil // a link is named by what it points to, which is there
		}
		one, two := sha1.New(), sha256.New()
		to := io.MultiWriter(one, two)
		text := &strings.Builder{}
		licence, isLicence := strings.CutPrefix(e.Path, licences)
		if isLicence {
			if e.Size > maxText {
				return fmt.Errorf("%s has %d bytes: not a licence's text", e.Path, e.Size)
			}
			to = io.MultiWriter(one, two, text)
		}
		if _, err := io.Copy(to, r); err != nil {
			return err
		}
		if isLicence {
			c.texts[licence] = text.String()
		}
		c.files = append(c.files, hashed{path: e.Path, executable: e.Mode&0o111 != 0,
			sha1: hex.EncodeToString(one.Sum(nil)), sha256: hex.EncodeToString(two.Sum(nil))})
		return nil
	})
	c.digest = digest
	return c, err
}

package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// lockSchema is the major version of a lock file.
const lockSchema = 1

// Lock says which exact image each reference of a matrix stood for when somebody
// looked: what a release is built in does not change under a tag that moves.
type Lock struct {
	Schema int `json:"schema"`
	// Images are keyed by the matrix's own reference, "nvidia/cuda:11.8.0-…".
	Images map[string]Locked `json:"images"`
}

// Locked is one image as its registry gave it.
type Locked struct {
	// Digest is that of the image's manifest for Platform, "sha256:…".
	Digest string `json:"digest"`
	// Platform is "linux/amd64".
	Platform string `json:"platform"`
}

// LockName is the lock file of a matrix file: beside it, "cuda.lock.json" for
// "cuda.yaml".
func LockName(matrixFile string) string {
	return strings.TrimSuffix(strings.TrimSuffix(matrixFile, ".yaml"), ".yml") + ".lock.json"
}

var digestForm = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)

// ParseLock reads a lock file. What it does not know is refused: a lock that is
// half understood locks nothing.
func ParseLock(name string, data []byte) (Lock, error) {
	var l Lock
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return Lock{}, fmt.Errorf("%s: %w", name, err)
	}
	if l.Schema != lockSchema {
		return Lock{}, fmt.Errorf("%s has schema %d, this program knows %d", name, l.Schema, lockSchema)
	}
	for ref, image := range l.Images {
		if !digestForm.MatchString(image.Digest) {
			return Lock{}, fmt.Errorf("%s: %s: %q is no digest", name, ref, image.Digest)
		}
	}
	return l, nil
}

// NewLock is a lock of what a registry said.
func NewLock(images map[string]Locked) Lock { return Lock{Schema: lockSchema, Images: images} }

// Marshal is the lock file's text: sorted, indented, with a last newline.
func (l Lock) Marshal() ([]byte, error) {
	data, err := json.MarshalIndent(l, "", "  ")
	return append(data, '\n'), err
}

// Images are the references that the matrix builds in, by toolkit version; the
// image of cells without a toolkit is "cpu".
func (m *Matrix) Images() map[string]string {
	images := map[string]string{imageCPU: m.cpu.image.S}
	for version, t := range m.toolkits {
		images[version] = t.image.S
	}
	return images
}

// Pin adds to images, which --image gave, the locked form of every other image
// of the matrix. A lock for references that the matrix no longer names is void.
func (m *Matrix) Pin(images map[string]string, l Lock) (map[string]string, error) {
	pinned := map[string]string{}
	for name, ref := range m.Images() {
		if locked, ok := l.Images[ref]; ok && locked.Platform == m.platform.S {
			pinned[name] = ref + "@" + locked.Digest
		}
	}
	given, err := m.images(images)
	if err != nil {
		return nil, err
	}
	for name, ref := range given {
		pinned[name] = ref
	}
	return pinned, nil
}

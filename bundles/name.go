package bundles

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Limits on names, in bytes. 255 is what Linux filesystems allow for one
// component.
const (
	maxComponent = 255
	maxPath      = 1024
	maxAssetName = 200
)

var (
	tagForm  = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	idForm   = lazyregexp.New(`^[a-z0-9][a-z0-9._-]{0,99}$`)
	fileForm = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// CheckTag says whether a release tag can be a folder name, a URL path element
// and a git tag at once: letters, digits, '.', '_', '-', not starting with a
// sign, no "..", and none of the reserved file names.
func CheckTag(tag string) error {
	switch {
	case !tagForm.MatchString(tag):
		return fmt.Errorf("release tag %q: only letters, digits, '.', '_' and '-' are allowed, a letter or digit first, 100 at most", tag)
	case strings.Contains(tag, "..") || strings.HasSuffix(tag, ".") || strings.HasSuffix(tag, ".lock"):
		return fmt.Errorf("release tag %q: git refuses it (\"..\", or an end of \".\" or \".lock\")", tag)
	case reserved(tag):
		return fmt.Errorf("release tag %q: is the name of a file of a release", tag)
	}
	return nil
}

// CheckBundleID says whether id can be a bundle's id (and so part of a file name).
func CheckBundleID(id string) error {
	if !idForm.MatchString(id) || strings.Contains(id, "..") {
		return fmt.Errorf("bundle id %q: only lower-case letters, digits, '.', '_' and '-' are allowed, a letter or digit first, 100 at most", id)
	}
	return nil
}

// CheckPartName says whether name can be the file name of a part: GitHub keeps
// it as it is, it needs no quoting in a URL, and it is none of the reserved
// names.
func CheckPartName(name string) error {
	switch {
	case len(name) > maxAssetName:
		return fmt.Errorf("part name %q: longer than %d bytes", name, maxAssetName)
	case !fileForm.MatchString(name) || strings.Contains(name, ".."):
		return fmt.Errorf("part name %q: only letters, digits, '.', '_' and '-' are allowed, a letter or digit first, no \"..\"", name)
	case reserved(name):
		return fmt.Errorf("part name %q: is the name of a file of a release", name)
	}
	return nil
}

func reserved(name string) bool {
	switch name {
	case ManifestName, SignatureName, SumsName, LatestName:
		return true
	}
	return false
}

// pathFault says what is wrong with the path of an entry, "" if nothing:
// relative, clean, forward slashes, valid UTF-8, no control characters.
func pathFault(p string) string {
	switch {
	case p == "":
		return "empty name"
	case len(p) > maxPath:
		return fmt.Sprintf("name longer than %d bytes", maxPath)
	case !utf8.ValidString(p):
		return "name is not valid UTF-8"
	case strings.ContainsFunc(p, unicode.IsControl):
		return "name holds a control character"
	case strings.Contains(p, `\`):
		return "name holds a backslash"
	case strings.HasPrefix(p, "/"):
		return "absolute name"
	}
	for c := range strings.SplitSeq(p, "/") {
		switch {
		case c == "..":
			return `".." in the name`
		case c == "" || c == ".":
			return "name is not in its shortest form"
		case len(c) > maxComponent:
			return fmt.Sprintf("name component longer than %d bytes", maxComponent)
		}
	}
	return ""
}

// targetFault says what is wrong with the target of a symlink, "" if nothing:
// only the bare name of something in the same folder is allowed.
func targetFault(target string) string {
	if strings.Contains(target, "/") {
		return fmt.Sprintf("link to %q leaves its folder", target)
	}
	if f := pathFault(target); f != "" {
		return fmt.Sprintf("link to %q: %s", target, f)
	}
	return ""
}

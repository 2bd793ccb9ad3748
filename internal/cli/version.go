package cli

import (
	"fmt"
	"runtime"
)

// VersionText is what --version says: the tag or commit that git describes, the
// full commit where it is known, and what compiled the program.
func VersionText(version, commit string) string {
	text := version
	if commit != "" {
		text += ", commit " + commit
	}
	return fmt.Sprintf("%s, %s, %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

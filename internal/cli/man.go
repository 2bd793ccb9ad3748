//go:build man

package cli

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// With the build tag man a program has a command that writes its own man pages;
// `make man` runs it. The released programs are built without: what renders pages
// would be in them.
func init() {
	extra = append(extra, func(root *cobra.Command) *cobra.Command {
		return &cobra.Command{
			Use: "man DIR SECONDS", Hidden: true, Args: cobra.ExactArgs(2), Short: "write man pages, dated SECONDS after 1970",
			RunE: func(_ *cobra.Command, args []string) error {
				seconds, err := strconv.ParseInt(args[1], 10, 64)
				if err != nil {
					return err
				}
				date := time.Unix(seconds, 0).UTC()
				root.DisableAutoGenTag = true
				return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "llcuda", Manual: "llcuda", Date: &date}, args[0])
			},
		}
	})
}

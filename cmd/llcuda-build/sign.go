package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
)

type signOptions struct {
	files                    []string
	release, repository, key string
}

func newSign(s *cli.Streams) *cobra.Command {
	var o signOptions
	c := &cobra.Command{
		Use:   "sign FILE...",
		Short: "sign files that go along with a release: FILE.minisig beside each",
		Long: `Signs each file for one repository, release and file name, as publish signs the
manifest. install.sh asks minisign about the signature of llcuda-run.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return runSign(cmd.Context(), s, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.release, "release", "", "the release's `TAG`")
	f.StringVar(&o.repository, "repository", "", "`NAME` that the signature binds, as github:OWNER/REPO")
	f.StringVar(&o.key, "sign-key", "", "the minisign secret key `FILE` (env LLCUDA_SIGN_KEY: its name or its text)")
	_ = c.MarkFlagRequired("release")
	return c
}

func runSign(ctx context.Context, s *cli.Streams, o signOptions) error {
	key, err := signingKey(ctx, s, o.key)
	if err != nil {
		return err
	}
	for _, file := range o.files {
		if strings.HasSuffix(file, ".minisig") {
			return cli.Usagef("%s is a signature already", file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sig, err := bundles.Sign(data, key, bundles.Claim{Repository: o.repository, Release: o.release, File: filepath.Base(file)})
		if err != nil {
			return err
		}
		if err := os.WriteFile(file+".minisig", sig, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(s.Out, file+".minisig")
	}
	return nil
}

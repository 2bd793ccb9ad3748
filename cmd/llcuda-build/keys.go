package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/cli"
)

func newKeygen(s *cli.Streams) *cobra.Command {
	var bare bool
	c := &cobra.Command{
		Use:   "keygen FILE",
		Short: "make a minisign key pair: FILE (secret) and FILE.pub",
		Long: `Writes a minisign key pair: FILE, for publish --sign-key, and FILE.pub, for
llcuda-run --key. It asks for the password that encrypts FILE, or takes
LLCUDA_SIGN_PASSWORD. --no-password leaves it bare: for a test, or a key that is
kept as a secret of continuous integration.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runKeygen(cmd.Context(), s, args[0], bare) },
	}
	c.Flags().BoolVar(&bare, "no-password", false, "do not encrypt FILE: whoever reads it can sign")
	return c
}

func runKeygen(ctx context.Context, s *cli.Streams, file string, bare bool) error {
	password := ""
	if !bare {
		var err error
		if password, err = newPassword(ctx, s); err != nil {
			return err
		}
	}
	key, err := bundles.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	if err := bundles.WriteKeyFiles(file, key, password); err != nil {
		return err
	}
	if password == "" {
		fmt.Fprintf(s.Err, "llcuda-build: %s is not encrypted: whoever reads it can sign\n", file)
	}
	fmt.Fprintln(s.Out, key.Public())
	return nil
}

// signingKey loads the key that publish signs with: a file, or the text of one
// in LLCUDA_SIGN_KEY (how a workflow hands over a secret).
func signingKey(ctx context.Context, s *cli.Streams, file string) (bundles.PrivateKey, error) {
	var none bundles.PrivateKey
	text, name := []byte(s.Env("LLCUDA_SIGN_KEY")), "LLCUDA_SIGN_KEY"
	if file == "" && len(text) > 0 && !strings.Contains(string(text), "\n") {
		file = string(text)
	}
	switch {
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return none, fmt.Errorf("reading the signing key: %w", err)
		}
		text, name = data, file
	case len(text) == 0:
		return none, &cli.Error{Err: errors.New("no signing key"), Code: cli.ExitUsage,
			Cure: "name one with --sign-key FILE or LLCUDA_SIGN_KEY; llcuda-build keygen FILE makes one"}
	}
	password := s.Env("LLCUDA_SIGN_PASSWORD")
	if bundles.KeyEncrypted(text) && password == "" {
		var err error
		if password, err = askPassword(ctx, s, "Password of "+name+": "); err != nil {
			return none, err
		}
	}
	key, err := bundles.ParsePrivateKey(text, password)
	if err != nil {
		return none, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

// errNoPassword says that a key would be left bare that nobody asked to be.
var errNoPassword = &cli.Error{Err: errors.New("no password for the new key"), Code: cli.ExitUsage,
	Cure: "type one on a terminal, set LLCUDA_SIGN_PASSWORD, or leave the key bare with --no-password"}

func newPassword(ctx context.Context, s *cli.Streams) (string, error) {
	if p := s.Env("LLCUDA_SIGN_PASSWORD"); p != "" {
		return p, nil
	}
	if _, ok := terminal(s); !ok {
		return "", errNoPassword
	}
	first, err := askPassword(ctx, s, "Password for the new key: ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errNoPassword
	}
	second, err := askPassword(ctx, s, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// terminal is the terminal that a password can be asked on.
func terminal(s *cli.Streams) (*os.File, bool) {
	in, ok := s.In.(*os.File)
	return in, ok && term.IsTerminal(int(in.Fd()))
}

// askPassword reads one line. Ctrl-C ends the waiting, and the terminal gets its
// echo back.
func askPassword(ctx context.Context, s *cli.Streams, prompt string) (string, error) {
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1) // whoever reads still waits when the program ends
	in, ok := terminal(s)
	if ok {
		before, err := term.GetState(int(in.Fd()))
		if err != nil {
			return "", fmt.Errorf("asking for a password: %w", err)
		}
		fmt.Fprint(s.Err, prompt)
		defer fmt.Fprintln(s.Err)
		defer func() {
			if ctx.Err() != nil {
				_ = term.Restore(int(in.Fd()), before)
			}
		}()
		go func() {
			secret, err := term.ReadPassword(int(in.Fd()))
			read <- answer{string(secret), err}
		}()
	} else {
		go func() {
			line, err := bufio.NewReader(s.In).ReadString('\n')
			if errors.Is(err, io.EOF) && line == "" {
				read <- answer{err: &cli.Error{Err: errors.New("the key is encrypted and no password was given"), Code: cli.ExitUsage,
					Cure: "set LLCUDA_SIGN_PASSWORD, or run it on a terminal"}}
				return
			}
			read <- answer{text: strings.TrimRight(line, "\r\n")}
		}()
	}
	select {
	case a := <-read:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

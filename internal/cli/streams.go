package cli

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams is what a program was given: its three files and its environment. No
// package below cmd reads os.Stdout, os.Args or the environment by itself.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Environ is the environment as "KEY=VALUE" pairs, for children.
	Environ []string
	env     map[string]string
}

// NewStreams makes Streams; a later pair of one key wins, as in execve's users.
func NewStreams(in io.Reader, out, err io.Writer, environ []string) *Streams {
	env := make(map[string]string, len(environ))
	for _, pair := range environ {
		if key, value, ok := strings.Cut(pair, "="); ok {
			env[key] = value
		}
	}
	return &Streams{In: in, Out: out, Err: err, Environ: environ, env: env}
}

// Env is one variable, "" where it is not set.
func (s *Streams) Env(key string) string { return s.env[key] }

// EnvMap is the environment as a map. It must not be changed.
func (s *Streams) EnvMap() map[string]string { return s.env }

// PrintJSON prints a result on stdout as both programs do: indented, one document.
func (s *Streams) PrintJSON(v any) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Terminal tells whether w is a terminal, and how wide it is.
func Terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}

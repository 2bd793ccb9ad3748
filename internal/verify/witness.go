package verify

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Answers are what cuobjdump said of the files of a folder while they were
// still in the container that made them: the witness step of a plan.
type Answers struct {
	// Version is cuobjdump's, "11.8.86"; empty where it did not say.
	Version string
	// All says that it was asked with -all.
	All bool
	// Absent says that there was no cuobjdump.
	Absent bool

	answers map[question]*answer
}

type question struct{ option, name string }

type answer struct {
	code           int
	stdout, stderr strings.Builder
}

// ReadAnswers reads the file that the witness step writes; see matrix/witness.sh
// for its form.
func ReadAnswers(text string) (*Answers, error) {
	a := &Answers{answers: map[question]*answer{}}
	var at *answer
	s := bufio.NewScanner(strings.NewReader(text))
	s.Buffer(nil, 1<<20)
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		head, rest, _ := strings.Cut(line, " ")
		switch {
		case n == 1 && line == "absent":
			a.Absent = true
		case n == 1 && head == "cuobjdump":
			a.Version, a.All = strings.CutSuffix(rest, " -all")
		case n > 1 && !a.Absent && head == "@":
			status, rest, _ := strings.Cut(rest, " ")
			option, name, ok := strings.Cut(rest, " ")
			code, err := strconv.Atoi(status)
			if err != nil || !ok || name == "" {
				return nil, fmt.Errorf("reading cuobjdump's answers: line %d is of unknown form: %q", n, line)
			}
			at = &answer{code: code}
			a.answers[question{option, name}] = at
		case at != nil && head == "1":
			at.stdout.WriteString(rest + "\n")
		case at != nil && head == "2":
			at.stderr.WriteString(rest + "\n")
		default:
			return nil, fmt.Errorf("reading cuobjdump's answers: line %d is of unknown form: %q", n, line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading cuobjdump's answers: %w", err)
	}
	if a.answers == nil || a.Version == "" && !a.Absent && len(a.answers) == 0 {
		return nil, fmt.Errorf("reading cuobjdump's answers: there are none")
	}
	return a, nil
}

// Run gives the recorded answers to Cuobjdump: a question that was not asked is
// fs.ErrNotExist.
func (a *Answers) Run(_ context.Context, args ...string) (stdout, stderr []byte, code int, err error) {
	if all := len(args) == 3 && args[1] == "-all"; all == a.All && (all || len(args) == 2) {
		if got := a.answers[question{args[0], args[len(args)-1]}]; got != nil {
			return []byte(got.stdout.String()), []byte(got.stderr.String()), got.code, nil
		}
	}
	return nil, nil, 0, fmt.Errorf("cuobjdump was not asked %q: %w", args, fs.ErrNotExist)
}

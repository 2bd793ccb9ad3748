package inspect

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// ptxText is what the start of a PTX text says, and whether it defines anything.
type ptxText struct {
	// isa is its .version, "" where fatbinary dropped the line.
	isa string
	// target is its first .target without "sm_", "" where there is none.
	target string
	// defines says that a kernel or a device or constant variable was seen.
	defines bool
	// whole says that the text was read to its end or until it was seen to
	// define something.
	whole bool
	// head says that all of the text's head was read.
	head bool
}

// maxToken bounds what is kept of a token; longer ones are initial values and
// mangled names, which nobody here reads.
const maxToken = 64

// scanPTX reads a PTX text: its head, and, where it is asked for, on until a
// definition or limit bytes.
func scanPTX(r io.Reader, limit int64, definitions bool) (ptxText, error) {
	l := &io.LimitedReader{R: r, N: limit}
	t, err := scanTokens(bufio.NewReaderSize(l, 4<<10), definitions)
	t.whole = t.whole && (l.N > 0 || t.defines)
	return t, err
}

func scanTokens(r io.ByteScanner, definitions bool) (ptxText, error) {
	s := ptxScanner{r: r}
	var t ptxText
	var before string
	external := false
	for {
		token, err := s.next()
		if errors.Is(err, io.EOF) {
			t.whole = true
			return t, nil
		}
		if err != nil {
			return t, err
		}
		switch {
		case before == ".version" && t.isa == "":
			if isVersion(token) {
				t.isa = token
			}
		case before == ".target" && t.target == "":
			t.target = targetSM(token)
		case token == ".extern":
			external = true
		case token == ";" || token == "{" || token == "}":
			external = false
		case token == ".entry" && !external,
			(token == ".global" || token == ".const") && !external && before != ".ptr":
			t.defines, t.whole = true, true
			return t, nil
		case token == ".address_size":
			if t.head = true; !definitions {
				return t, nil
			}
		}
		before = token
	}
}

// targetSM is the SM that a .target begins with: "sm_90,", "sm_90,debug", and
// "compute_90", which PTX takes for sm_90.
func targetSM(token string) string {
	token, _, _ = strings.Cut(token, ",")
	if sm, ok := strings.CutPrefix(token, "compute_"); ok {
		return sm
	}
	return strings.TrimPrefix(token, "sm_")
}

// ptxScanner splits PTX at white space and at ; { }, leaving out comments and
// quoted strings.
type ptxScanner struct{ r io.ByteScanner }

func (s *ptxScanner) next() (string, error) {
	var token [maxToken]byte
	n := 0
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			if n > 0 && errors.Is(err, io.EOF) {
				return string(token[:n]), nil
			}
			return "", err
		}
		switch {
		case c == '/' && n == 0:
			if err := s.comment(); err != nil {
				return "", err
			}
		case c == '"' && n == 0:
			if err := s.skip('"'); err != nil {
				return "", err
			}
		case c == ';' || c == '{' || c == '}':
			if n == 0 {
				return string(c), nil
			}
			if err := s.r.UnreadByte(); err != nil {
				return "", err
			}
			return string(token[:n]), nil
		case c <= ' ':
			if n > 0 {
				return string(token[:n]), nil
			}
		default:
			if n < len(token) {
				token[n] = c
				n++
			}
		}
	}
}

// comment skips what follows a slash, if it is a comment.
func (s *ptxScanner) comment() error {
	c, err := s.r.ReadByte()
	if err != nil {
		return err
	}
	if c == '/' {
		return s.skip('\n')
	}
	if c != '*' {
		return s.r.UnreadByte()
	}
	for star := false; ; {
		if c, err = s.r.ReadByte(); err != nil {
			return err
		}
		if star && c == '/' {
			return nil
		}
		star = c == '*'
	}
}

func (s *ptxScanner) skip(end byte) error {
	for {
		c, err := s.r.ReadByte()
		if err != nil || c == end {
			return err
		}
	}
}

// looksLikePTX says whether b starts a PTX text: after comments and white
// space comes .version.
func looksLikePTX(b []byte) bool {
	token, err := (&ptxScanner{r: bufio.NewReader(bytes.NewReader(b))}).next()
	return err == nil && token == ".version"
}

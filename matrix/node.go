package matrix

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// Error is one thing wrong with a matrix file, at the line where it stands.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// text is a scalar and the line it stands on, so that a check made later can
// still point at it.
type text struct {
	S    string
	Line int
}

// walker reads a YAML tree strictly: every key must be known, nothing may stand
// twice, and every complaint is kept with its line instead of ending the walk.
type walker struct {
	file string
	errs []*Error
}

func (w *walker) fail(line int, format string, args ...any) {
	w.errs = append(w.errs, &Error{File: w.file, Line: max(line, 1), Msg: fmt.Sprintf(format, args...)})
}

// err joins the complaints in the order of the lines, or is nil.
func (w *walker) err() error {
	sort.SliceStable(w.errs, func(i, j int) bool { return w.errs[i].Line < w.errs[j].Line })
	joined := make([]error, len(w.errs))
	for i, e := range w.errs {
		joined[i] = e
	}
	return errors.Join(joined...)
}

var yamlLine = lazyregexp.New(`^(?:yaml: )?(?:(?:unmarshal errors|construct errors):\s*)?line (\d+): (.*)`)

// syntax turns an error of the YAML parser into ours.
func (w *walker) syntax(err error) {
	line, msg := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = m[2]
	}
	w.fail(line, "not YAML: %s", strings.TrimPrefix(msg, "yaml: "))
}

// fields names the keys of a mapping and what reads each value.
type fields map[string]func(key text, value *yaml.Node)

// mapping reads a mapping whose keys are all in f; what names it in messages.
func (w *walker) mapping(n *yaml.Node, what string, f fields, required ...string) {
	known := make([]string, 0, len(f))
	for k := range f {
		known = append(known, k)
	}
	sort.Strings(known)
	seen := w.pairs(n, what, func(key text, value *yaml.Node) {
		read, ok := f[key.S]
		if !ok {
			w.fail(key.Line, "%s has no key %q; it knows %s", what, key.S, strings.Join(known, ", "))
			return
		}
		read(key, value)
	})
	for _, r := range required {
		if seen != nil && !slices.Contains(seen, r) {
			w.fail(n.Line, "%s lacks %q", what, r)
		}
	}
}

// pairs visits each key of a mapping once and returns the keys; nil where n is
// not a mapping.
func (w *walker) pairs(n *yaml.Node, what string, visit func(key text, value *yaml.Node)) []string {
	if n.Kind != yaml.MappingNode {
		w.fail(n.Line, "%s must be a mapping, not %s", what, kindOf(n))
		return nil
	}
	seen := []string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			w.fail(k.Line, "a key of %s must be a word, not %s", what, kindOf(k))
			continue
		}
		if slices.Contains(seen, k.Value) {
			w.fail(k.Line, "%s has %q twice", what, k.Value)
			continue
		}
		seen = append(seen, k.Value)
		visit(text{k.Value, k.Line}, n.Content[i+1])
	}
	return seen
}

// str reads a scalar that says something. Numbers keep their spelling: 75 and
// "75" are the same SM.
func (w *walker) str(n *yaml.Node, what string) text {
	switch {
	case n.Kind != yaml.ScalarNode:
		w.fail(n.Line, "%s must be a word, not %s", what, kindOf(n))
	case strings.TrimSpace(n.Value) == "" || n.Tag == "!!null":
		w.fail(n.Line, "%s is empty", what)
	case strings.ContainsRune(n.Value, 0):
		w.fail(n.Line, "%s holds a NUL byte", what)
	default:
		return text{n.Value, n.Line}
	}
	return text{"", n.Line}
}

// list visits each item of a sequence.
func (w *walker) list(n *yaml.Node, what string, visit func(item *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		w.fail(n.Line, "%s must be a list, not %s", what, kindOf(n))
		return
	}
	for _, item := range n.Content {
		visit(item)
	}
}

// strs reads a list of scalars, none of them twice.
func (w *walker) strs(n *yaml.Node, what string) []text {
	var out []text
	w.list(n, what, func(item *yaml.Node) {
		t := w.str(item, "an item of "+what)
		if t.S == "" {
			return
		}
		for _, other := range out {
			if other.S == t.S {
				w.fail(t.Line, "%s has %q twice", what, t.S)
				return
			}
		}
		out = append(out, t)
	})
	return out
}

func (w *walker) boolean(n *yaml.Node, what string) bool {
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil {
		w.fail(n.Line, "%s must be true or false", what)
	}
	return b
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (anchors are not used here)"
	case yaml.ScalarNode:
		if n.Value == "" {
			return "nothing"
		}
		return strconv.Quote(n.Value)
	default:
		return "something else"
	}
}

// plain are the strings without their lines.
func plain(ts []text) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = t.S
	}
	return out
}

package serve

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

const (
	// headLines and tailLines are how much of the output is kept: a failing
	// backend is told of first, the reason of a death last.
	headLines = 100
	tailLines = 200
	// maxLine is where a line is cut, in bytes.
	maxLine = 4096
)

// output collects what the server prints: the first and the last lines for the
// diagnosis, and what it says of its address and devices.
type output struct {
	mu    sync.Mutex
	head  []string
	tail  []string // a ring, full when len is tailLines
	next  int      // of tail, where the next line goes
	count int      // of all bytes but the echo of our health checks, to see that something happens
	seen  Backends
	// address is the URL of the "listening on" line, "" before it; told is closed
	// with it.
	address string
	told    chan struct{}
}

func newOutput() *output { return &output{told: make(chan struct{})} }

// stream is one of the server's two outputs: it passes bytes on and cuts them
// into lines.
type stream struct {
	to   *output
	pass io.Writer
	line []byte
	// long marks that the line was cut and its rest is to be dropped.
	long bool
}

// Write never fails: a reader that went away must not stop the server.
func (s *stream) Write(p []byte) (int, error) {
	if s.pass != nil {
		if _, err := s.pass.Write(p); err != nil {
			s.pass = nil
		}
	}
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.count += len(p)
	for _, b := range p {
		switch {
		case b == '\n':
			s.to.add(string(s.line))
			s.line, s.long = s.line[:0], false
		case s.long:
		case len(s.line) == maxLine:
			s.long = true
		default:
			s.line = append(s.line, b)
		}
	}
	return len(p), nil
}

// flush takes a last line that has no end. It may be called when nothing writes
// any more.
func (s *stream) flush() {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	if len(s.line) > 0 {
		s.to.add(string(s.line))
		s.line = nil
	}
}

func (o *output) add(raw string) {
	line := plain(raw)
	if strings.Contains(line, "done request: GET ") && strings.Contains(line, healthPath) {
		o.count -= len(raw) + 1
	}
	if len(o.head) < headLines {
		o.head = append(o.head, line)
	}
	if len(o.tail) < tailLines {
		o.tail = append(o.tail, line)
	} else {
		o.tail[o.next] = line
		o.next = (o.next + 1) % tailLines
	}
	o.seen.read(line)
	if m := listening.FindStringSubmatch(line); m != nil && o.address == "" {
		o.address = m[1]
		close(o.told)
	}
}

// last is the last lines, oldest first.
func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lastLocked()
}

func (o *output) lastLocked() []string {
	return append(slices.Clone(o.tail[o.next:]), o.tail[:o.next]...)
}

// all is the first and the last lines. Between them some may be missing, and
// the two may overlap.
func (o *output) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(slices.Clone(o.head), o.lastLocked()...)
}

// state is what readiness asks for.
func (o *output) state() (address string, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.address, o.count
}

func (o *output) backends() Backends {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen.clone()
}

// listening is the line that tells the address, whole, so that a model's name
// that holds such words is not taken for it. Seen: "srv  llama_server: listening
// on http://127.0.0.1:41", and in 2025 "main: server is listening on http://… -
// starting the main loop".
var listening = lazyregexp.New(`^(?:[0-9.]+ )?(?:[A-Z] )?(?:srv +)?\w+: (?:HTTP )?(?:server is )?listening on ((?:https?|unix)://\S+)(?: - .*)?$`)

// ansi matches terminal colours.
var ansi = lazyregexp.New("\x1b\\[[0-9;]*[A-Za-z]")

// plain strips a line of colours, carriage returns and the JSON around it that
// --log-jsonl puts there.
func plain(line string) string {
	line = strings.TrimRight(ansi.ReplaceAllString(line, ""), "\r\n ")
	if strings.HasPrefix(line, `{"type":"log"`) {
		var entry struct{ Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg != "" {
			return strings.TrimRight(entry.Msg, "\n ")
		}
	}
	return line
}

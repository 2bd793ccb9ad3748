// Package lines turns what a program writes into whole lines.
package lines

import (
	"bytes"
	"sync"
)

// maxLine bounds a line: a longer one is cut into several.
const maxLine = 64 << 10

// Writer is a writer that hands on whole lines, without their ends. Ninja and
// progress bars end lines with a carriage return too.
type Writer struct {
	// Each takes a line.
	Each func(string)

	mu   sync.Mutex
	part []byte
}

func (l *Writer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			l.part = append(l.part, p...)
			for len(l.part) > maxLine {
				l.Each(string(l.part[:maxLine]))
				l.part = append(l.part[:0], l.part[maxLine:]...)
			}
			break
		}
		l.part = append(l.part, p[:i]...)
		if len(l.part) > 0 || p[i] == '\n' {
			l.Each(string(l.part))
		}
		l.part = l.part[:0]
		if p[i] == '\r' && i+1 < len(p) && p[i+1] == '\n' {
			i++
		}
		p = p[i+1:]
	}
	return n, nil
}

// Flush hands on a last line that has no end.
func (l *Writer) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.Each(string(l.part))
		l.part = l.part[:0]
	}
}

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows how far several named pieces of work are. A terminal gets one
// rewritten line, a pipe a line every few seconds and at each change of step,
// a program (JSON) one event a line. Safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	width int
	tty   bool
	json  bool
	every time.Duration
	now   func() time.Time

	order []string
	items map[string]*item
	drawn bool
	last  time.Time
}

type item struct {
	step        string
	done, total int64
	unit        Unit
	shown       time.Time
	// recent are points of the last while, the oldest first: the rate is over
	// these, so that neither what an earlier run had downloaded nor a slow start
	// an hour ago counts.
	recent []point
}

type point struct {
	at   time.Time
	done int64
}

// span is how far back the rate looks; between two points lies at least a
// twentieth of it.
const span = 10 * time.Second

// Unit says what done and total count.
type Unit int

// Units of progress.
const (
	Steps Unit = iota
	Bytes
)

// Event is one line of progress with --json.
type Event struct {
	Item  string `json:"item"`
	Step  string `json:"step"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"`
	// Rate is in bytes a second, over the last ten seconds.
	Rate int64 `json:"rate,omitempty"`
}

// NewProgress makes a Progress on w. With asJSON it writes events.
func NewProgress(w io.Writer, asJSON bool) *Progress {
	width, tty := Terminal(w)
	return &Progress{w: w, width: width, tty: tty && !asJSON, json: asJSON,
		every: 5 * time.Second, now: time.Now, items: map[string]*item{}}
}

// Set says where item name is. total 0 = unknown.
func (p *Progress) Set(name, step string, done, total int64, unit Unit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it := p.items[name]
	now := p.now()
	if it == nil {
		it = &item{}
		p.items[name] = it
		p.order = append(p.order, name)
	}
	changed := it.step != step
	if changed || done < it.done { // what was thrown away says nothing of the rate
		it.recent = nil
	}
	it.step, it.done, it.total, it.unit = step, done, total, unit
	it.note(now)
	switch {
	case p.tty:
		if changed || now.Sub(p.last) >= 100*time.Millisecond {
			p.draw(now)
		}
	case changed || now.Sub(it.shown) >= p.every:
		it.shown = now
		if p.json {
			_ = json.NewEncoder(p.w).Encode(Event{name, step, done, total, [...]string{"steps", "bytes"}[unit], int64(it.rate(now))})
			return
		}
		fmt.Fprintf(p.w, "%s: %s\n", name, it.describe(now))
	}
}

// Finish drops an item and prints what became of it.
func (p *Progress) Finish(name, result string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	delete(p.items, name)
	for i, n := range p.order {
		if n == name {
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
	if result != "" && p.json {
		_ = json.NewEncoder(p.w).Encode(Event{Item: name, Step: result})
	} else if result != "" {
		fmt.Fprintf(p.w, "%s: %s\n", name, result)
	}
	if p.tty && len(p.order) > 0 {
		p.draw(p.now())
	}
}

// Printf prints a line above the rewritten one.
func (p *Progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *Progress) draw(now time.Time) {
	p.last = now
	parts := make([]string, 0, len(p.order))
	for _, n := range p.order {
		parts = append(parts, n+": "+p.items[n].describe(now))
	}
	line := []rune(strings.Join(parts, " | "))
	if len(line) >= p.width && p.width > 1 {
		line = append(line[:p.width-2], '…')
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", string(line))
	p.drawn = true
}

func (p *Progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// note keeps a point for the rate.
func (it *item) note(now time.Time) {
	if it.unit == Steps {
		return
	}
	if k := len(it.recent); k > 0 && now.Sub(it.recent[k-1].at) < span/20 {
		return
	}
	it.recent = append(it.recent, point{now, it.done})
	// One point older than the span stays: there must be two.
	for len(it.recent) > 2 && now.Sub(it.recent[1].at) >= span {
		it.recent = it.recent[1:]
	}
}

// rate is in bytes a second, 0 where it is not known yet.
func (it *item) rate(now time.Time) float64 {
	if len(it.recent) == 0 {
		return 0
	}
	first := it.recent[0]
	took := now.Sub(first.at)
	if took < time.Second {
		return 0
	}
	return float64(it.done-first.done) / took.Seconds()
}

func (it *item) describe(now time.Time) string {
	if it.unit == Steps {
		if it.total > 0 {
			return fmt.Sprintf("%s %d/%d", it.step, it.done, it.total)
		}
		return it.step
	}
	text := it.step + " " + Size(it.done)
	if it.total > 0 {
		text += " of " + Size(it.total)
	}
	if rate := it.rate(now); rate >= 1 {
		text += fmt.Sprintf(", %s/s", Size(int64(rate)))
		if it.total > it.done {
			text += ", " + left(float64(it.total-it.done)/rate) + " left"
		}
	}
	return text
}

// left writes seconds as people count them: to the second below an hour, then to
// the minute. What takes longer than some days is not known any better.
func left(seconds float64) string {
	if seconds > 100*3600 {
		return "more than 100h"
	}
	d := time.Duration(seconds) * time.Second
	if d < time.Hour {
		return d.String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// Size writes a number of bytes in decimal units ("19.9 MB").
func Size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, suffix := float64(n)/unit, 0
	for value >= unit && suffix < 3 {
		value /= unit
		suffix++
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGT"[suffix])
}

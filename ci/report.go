package ci

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/waqasm86/llcuda/matrix"
)

// report is where the output of one build goes: its log, its progress and the
// tail of the step that runs.
type report struct {
	cell  string
	start time.Time

	mu          sync.Mutex
	log         io.Writer
	progress    func(Event)
	step        string
	began       time.Time
	timings     []Timing
	done, total int
	tail        tail
}

func newReport(cell string, o Job) *report {
	r := &report{cell: cell, start: time.Now(), log: o.Log, progress: o.Progress}
	if r.log == nil {
		r.log = io.Discard
	}
	if r.progress == nil {
		r.progress = func(Event) {}
	}
	return r
}

// begin starts a step; args are for the log.
func (r *report) begin(step string, args ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	r.step, r.began, r.done, r.total, r.tail = step, time.Now(), 0, 0, tail{}
	fmt.Fprintf(r.log, "== %s %s %s\n", r.cell, step, argv(args))
	r.send("")
}

// end books the time of the step that runs; r.mu is held.
func (r *report) end() {
	if r.step != "" {
		r.timings = append(r.timings, Timing{r.step, time.Since(r.began)})
	}
	r.step = ""
}

// finish ends the last step and returns all timings.
func (r *report) finish() []Timing {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	return r.timings
}

// line takes a line of output of the step that runs.
func (r *report) line(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(r.step, text)
}

// lineOf takes a line of output of step, which may be over: an engine's lines
// come late. Such a line is logged and no longer counts.
func (r *report) lineOf(step, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(step, text)
}

func (r *report) take(step, text string) {
	fmt.Fprintln(r.log, text)
	if step != r.step {
		return
	}
	if done, total, ok := ninja(text); ok {
		r.done, r.total = done, total
	}
	r.tail.add(text)
	r.send(text)
}

// note logs what is not output of a step.
func (r *report) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.log, text)
}

// send tells Progress; r.mu is held, which keeps the calls in order.
func (r *report) send(line string) {
	r.progress(Event{Cell: r.cell, Step: r.step, Line: line, Done: r.done, Total: r.total, Elapsed: time.Since(r.start)})
}

// current is the name of the step that runs.
func (r *report) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step
}

// failed makes the error of a step that ended with code.
func (r *report) failed(s matrix.Step, code int, t *tail) *StepError {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t == nil {
		t = &r.tail
	}
	return &StepError{Cell: r.cell, Step: s.Name, ExitCode: code, Tail: append([]string(nil), t.lines()...)}
}

// argv shows a command on one line; scripts are cut to their first line.
func argv(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		first, _, more := strings.Cut(strings.TrimSpace(a), "\n")
		if more {
			first += " …"
		}
		if first == "" || strings.ContainsAny(first, " \t\"'$;&|<>()*?") {
			first = "'" + strings.ReplaceAll(first, "'", `'\''`) + "'"
		}
		b.WriteString(first)
	}
	return b.String()
}

package engine

import (
	"strings"
	"sync"

	"github.com/waqasm86/llcuda/ci/internal/wire"
	"github.com/waqasm86/llcuda/internal/lazyregexp"
)

// report tells the other half of a build, and knows which step runs.
type report struct {
	tell Tell
	mu   sync.Mutex
	step string
}

func (r *report) begin(step string, args ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = step
	r.tell(wire.Event{Begin: &wire.Begin{Step: step, Args: args}})
}

func (r *report) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.step
}

func (r *report) lineOf(step, text string) {
	r.tell(wire.Event{Line: &wire.Line{Step: step, Text: text}})
}

func (r *report) note(text string) { r.tell(wire.Event{Note: &text}) }

// lastLines are kept of what the engine's client says while it connects.
const lastLines = 20

// plain reads the plain progress log of the engine's client:
//
//	12  : ┆ Container.withExec(args: ["cmake", …]): Container!
//	12  : ┆ [3.1s] | [12/458] Building CXX object …
//	12  : ┆ Container.withExec DONE [3.2s]
//
// Lines come up to a second late. A withExec's number stands for the step during
// which it was first seen, so late lines stay with their step; lines of other
// spans are the engine's own and only logged.
type plain struct {
	mu     sync.Mutex
	alive  func()
	report *report
	steps  map[string]string // number of a withExec → step
	last   []string          // of the connecting phase
}

var (
	plainLine = lazyregexp.New(`^([0-9]+) *: `)
	plainText = lazyregexp.New(`^(?:┆ )*\[[0-9hms.]+\] \|(?: (.*))?$`)
	plainExec = lazyregexp.New(`^(?:┆ )*(?:Container\.)?withExec\b`)
	plainFail = lazyregexp.New(`^(?:[0-9]+ *: (?:┆ )*)?(?:!|Error:) (.*)$`)
)

func (p *plain) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive != nil && !strings.Contains(text, "connection error") && !strings.Contains(text, "Control/Info") {
		p.alive()
	}
	if p.report == nil {
		if len(p.last) == lastLines {
			p.last = append(p.last[:0], p.last[1:]...)
		}
		p.last = append(p.last, text)
		return
	}
	m := plainLine.FindStringSubmatch(text)
	if m == nil {
		if strings.TrimSpace(text) != "" {
			p.report.note("dagger: " + text)
		}
		return
	}
	step, ours := p.steps[m[1]]
	if out := plainText.FindStringSubmatch(text[len(m[0]):]); ours && out != nil {
		p.report.lineOf(step, out[1])
		return
	}
	if !ours && plainExec.MatchString(text[len(m[0]):]) {
		p.steps[m[1]] = p.report.current()
	}
	p.report.note("dagger: " + text)
}

// connected ends the watch on silence.
func (p *plain) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive = nil
}

// attach sends all further lines to a build's report.
func (p *plain) attach(r *report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report, p.steps = r, map[string]string{}
}

// detach drops what comes still, so that no line follows the last word of a build.
func (p *plain) detach() { p.attach(&report{tell: func(wire.Event) {}}) }

var traceParent = lazyregexp.New(` \[traceparent:[^\]]*\]`)

// why is the reason that the client gave last.
func (p *plain) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.last) - 1; i >= 0; i-- {
		if m := plainFail.FindStringSubmatch(p.last[i]); m != nil {
			return traceParent.ReplaceAllString(m[1], "")
		}
	}
	return ""
}

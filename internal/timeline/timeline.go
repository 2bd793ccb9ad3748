// Package timeline turns what happened when into a record: JSON for programs, a
// table, and a drawing that is one SVG file and needs nothing else.
//
// A run has lanes (the cells of a build), a lane has spans, one after the other.
// A span is work, or it is what the pipeline costs beside its work. Times are
// seconds from the run's begin.
package timeline

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

// Schema is the version of the JSON.
const Schema = 1

// Run is the whole record.
type Run struct {
	Schema int       `json:"schema"`
	Began  time.Time `json:"began"`
	// Wall is how long the run took, Inside for how long of it at least one lane
	// was at work, Outside the rest: what the pipeline itself costs.
	Wall    float64 `json:"wall"`
	Inside  float64 `json:"inside"`
	Outside float64 `json:"outside"`
	Lanes   []Lane  `json:"lanes"`
}

// Lane is what happened to one thing.
type Lane struct {
	Name string `json:"name"`
	// State is how it ended: "built", "unchanged", "failed".
	State string  `json:"state,omitempty"`
	Began float64 `json:"began"`
	Took  float64 `json:"took"`
	// Outside is Took less the spans of work.
	Outside float64 `json:"outside"`
	Spans   []Span  `json:"steps"`
}

// Span is one step.
type Span struct {
	Step  string  `json:"step"`
	Began float64 `json:"began"`
	Took  float64 `json:"took"`
	// Overhead marks what is not work on the thing itself.
	Overhead bool `json:"overhead,omitempty"`
}

// Recorder takes the times down. Its lanes may be used at once.
type Recorder struct {
	now      func() time.Time
	overhead []string
	began    time.Time
	mu       sync.Mutex
	lanes    []*LaneRecorder
}

// NewRecorder begins a run. overhead are the steps that are not work. now is the
// clock.
func NewRecorder(now func() time.Time, overhead ...string) *Recorder {
	return &Recorder{now: now, overhead: overhead, began: now()}
}

// Lane opens a lane; it begins with its first step. A nil Recorder has nil lanes.
func (r *Recorder) Lane(name string) *LaneRecorder {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &LaneRecorder{r: r, lane: Lane{Name: name, Spans: []Span{}}}
	r.lanes = append(r.lanes, l)
	return l
}

// LaneRecorder takes one lane down. The methods of a nil one do nothing.
type LaneRecorder struct {
	r       *Recorder
	lane    Lane
	running bool
}

// Begin ends the step that runs and begins another; the same step again goes on.
func (l *LaneRecorder) Begin(step string) {
	if l == nil {
		return
	}
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if l.running && l.lane.Spans[len(l.lane.Spans)-1].Step == step {
		return
	}
	at := l.end()
	if len(l.lane.Spans) == 0 {
		l.lane.Began = at
	}
	l.lane.Spans = append(l.lane.Spans, Span{Step: step, Began: at, Overhead: slices.Contains(l.r.overhead, step)})
	l.running = true
}

// End ends the step that runs, and the lane in a state.
func (l *LaneRecorder) End(state string) {
	if l == nil {
		return
	}
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.lane.Took = l.end() - l.lane.Began
	l.lane.State = state
}

// end books the step that runs and returns the time; r.mu is held.
func (l *LaneRecorder) end() float64 {
	at := l.r.now().Sub(l.r.began).Seconds()
	if l.running {
		s := &l.lane.Spans[len(l.lane.Spans)-1]
		s.Took = at - s.Began
	}
	l.running = false
	return at
}

// Finish ends the run. Lanes without a step are left out.
func (r *Recorder) Finish() Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := Run{Schema: Schema, Began: r.began.UTC(), Wall: r.now().Sub(r.began).Seconds(), Lanes: []Lane{}}
	var work []Span
	for _, l := range r.lanes {
		if len(l.lane.Spans) == 0 {
			continue
		}
		lane := l.lane
		lane.Outside = lane.Took
		for _, s := range lane.Spans {
			if !s.Overhead {
				lane.Outside -= s.Took
				work = append(work, s)
			}
		}
		run.Lanes = append(run.Lanes, lane)
	}
	run.Inside = covered(work)
	run.Outside = run.Wall - run.Inside
	return run.rounded()
}

// covered is how long at least one of the spans ran.
func covered(spans []Span) float64 {
	slices.SortFunc(spans, func(a, b Span) int {
		switch {
		case a.Began < b.Began:
			return -1
		case a.Began > b.Began:
			return 1
		}
		return 0
	})
	total, end := 0.0, 0.0
	for _, s := range spans {
		from, to := max(s.Began, end), s.Began+s.Took
		if to > from {
			total, end = total+to-from, to
		}
	}
	return total
}

// rounded has milliseconds: more is noise.
func (r Run) rounded() Run {
	ms := func(x *float64) { *x = math.Round(*x*1000) / 1000 }
	for _, x := range []*float64{&r.Wall, &r.Inside, &r.Outside} {
		ms(x)
	}
	for i := range r.Lanes {
		l := &r.Lanes[i]
		for _, x := range []*float64{&l.Began, &l.Took, &l.Outside} {
			ms(x)
		}
		for j := range l.Spans {
			ms(&l.Spans[j].Began)
			ms(&l.Spans[j].Took)
		}
	}
	return r
}

// WriteJSON writes the record.
func (r Run) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/waqasm86/llcuda/ci/internal/wire"
)

func TestPlainLogBelongsToTheStepItBeganIn(t *testing.T) {
	var events, notes []string
	r := &report{tell: func(e wire.Event) {
		switch {
		case e.Line != nil:
			events = append(events, fmt.Sprintf("%s %q", e.Line.Step, e.Line.Text))
		case e.Note != nil:
			notes = append(notes, *e.Note)
		}
	}}
	p := &plain{}
	p.attach(r)
	r.begin("build")
	p.line(`7   : ┆ Container.withExec(args: ["cmake"]): Container!`)
	p.line(`7   : ┆ [0.5s] | [1/3] Building a.o`)
	p.line(`7   : [1m2.5s] | a.c:1: warning: | odd`)
	r.begin("install")
	p.line(`7   : ┆ [2.5s] | [3/3] Linking`)
	p.line(`8   : ┆ [0.0s] | cloud url=x`)
	p.line(`9   : ┆ ┆ withExec sh -euc 'true'`)
	p.line(`9   : ┆ ┆ [0.0s] | copied`)
	p.line(`9   : ┆ ┆ [0.0s] |`)
	p.line(`7   : ┆ Container.withExec DONE [2.6s]`)
	want := []string{`build "[1/3] Building a.o"`, `build "a.c:1: warning: | odd"`, `build "[3/3] Linking"`, `install "copied"`, `install ""`}
	if !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if !slices.Contains(notes, "dagger: 7   : ┆ Container.withExec DONE [2.6s]") {
		t.Errorf("notes %q", notes)
	}
}

func TestWhatWasReusedIsSummedUp(t *testing.T) {
	for log, want := range map[string]string{
		"":                             "",
		"made cicc 20\nmade ptxas 5\n": "0 of 2 runs of cicc and ptxas were reused",
		"reused cicc 1250\nmade ptxas 5\nreused ptxas 300\n": "2 of 3 runs of cicc and ptxas were reused, which took 1.6 s when they were made",
	} {
		if got := reused(log); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}

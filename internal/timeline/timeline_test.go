package timeline

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// clock is moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }
func (c *clock) after(ms int)   { c.at = c.at.Add(time.Duration(ms) * time.Millisecond) }
func recorder() (*clock, *Recorder) {
	c := &clock{time.Unix(1000, 0)}
	return c, NewRecorder(c.now, "connect", "export")
}
func near(got, want float64) (ok bool) { return got > want-0.0005 && got < want+0.0005 }

// sample is two cells, the second half over the first.
func sample() Run {
	c, r := recorder()
	source := r.Lane("source")
	a, b, idle := r.Lane("a <&> cell"), r.Lane("b"), r.Lane("never")
	_ = idle
	c.after(100) // before any step
	source.Begin("source")
	c.after(1000)
	source.End("")
	a.Begin("connect")
	c.after(200)
	a.Begin("build")
	c.after(2000)
	a.Begin("build") // a line of output without text
	b.Begin("build")
	c.after(3000)
	a.Begin("export")
	c.after(500)
	a.End("built")
	c.after(500)
	b.End("failed")
	c.after(50)
	return r.Finish()
}

func TestTimeOutsideStepsIsWhatThePipelineCosts(t *testing.T) {
	run := sample()
	if len(run.Lanes) != 3 {
		t.Fatalf("%d lanes: one without a step is none", len(run.Lanes))
	}
	a, b := run.Lanes[1], run.Lanes[2]
	if len(a.Spans) != 3 || !near(a.Spans[1].Took, 5) || !a.Spans[0].Overhead || a.Spans[1].Overhead {
		t.Errorf("spans of a: %+v", a.Spans)
	}
	if !near(a.Began, 1.1) || !near(a.Took, 5.7) || !near(a.Outside, 0.7) || a.State != "built" {
		t.Errorf("a: %+v", a)
	}
	if !near(b.Took, 4) || !near(b.Outside, 0) || b.State != "failed" {
		t.Errorf("b: %+v", b)
	}
	// Lanes at work at once count once: source 1 s, then 1.3 to 7.3.
	if !near(run.Wall, 7.35) || !near(run.Inside, 7) || !near(run.Outside, 0.35) {
		t.Errorf("wall %v, inside %v, outside %v", run.Wall, run.Inside, run.Outside)
	}
}

func TestTheRecordIsJSONOfOneSchema(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Schema  int
		Wall    float64
		Outside float64
		Lanes   []struct {
			Name  string
			Steps []struct {
				Step     string
				Took     float64
				Overhead bool
			}
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil {
		t.Fatal(err)
	}
	if back.Schema != 1 || back.Outside != 0.35 || back.Lanes[1].Name != "a <&> cell" || back.Lanes[1].Steps[1].Took != 5 || !back.Lanes[1].Steps[0].Overhead {
		t.Errorf("%+v", back)
	}
}

func TestTheTableEndsWithWhatThePipelineCost(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := "CELL        STEP                    SECONDS\n" +
		"source      source                  1.0\n" +
		"a <&> cell  connect                 0.2\n" +
		"a <&> cell  build                   5.0\n" +
		"a <&> cell  export                  0.5\n" +
		"a <&> cell  all, outside its steps  5.7, 0.7\n" +
		"b           build                   4.0\n" +
		"7.3 s in all: 7.0 s inside the steps of cells, 0.3 s outside\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestTheDrawingIsOneWellFormedFile(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteSVG(&b, "build of <2> cells"); err != nil {
		t.Fatal(err)
	}
	bars, titles := 0, 0
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "rect":
			bars++
		case "title":
			titles++
		}
		for _, a := range e.Attr {
			if a.Name.Local == "href" || a.Name.Local == "src" {
				t.Errorf("it needs %s", a.Value)
			}
		}
	}
	// The paper, two of the pattern, five bars, four keys.
	if titles != 5 || bars != 1+2+5+4 {
		t.Errorf("%d bars, %d titles\n%s", bars, titles, b.String())
	}
	for _, want := range []string{"a &lt;&amp;&gt; cell: build, 5.0 s (from 1.3 s on)", "4.0 s failed", "0.35 s outside", `fill="url(#beside)"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it lacks %q", want)
		}
	}
	var empty strings.Builder
	if err := (Run{}).WriteSVG(&empty, ""); err != nil || !strings.Contains(empty.String(), "</svg>") {
		t.Errorf("of nothing: %v", err)
	}
}

func TestTicksAreRoundAndFew(t *testing.T) {
	for wall, want := range map[float64]float64{0: 1, 0.35: 0.05, 1: 0.2, 7.35: 1, 20: 5, 79: 10, 80: 20, 3800: 500} {
		if got := tick(wall); !near(got, want) {
			t.Errorf("tick(%v) = %v, want %v", wall, got, want)
		}
	}
}

func TestANilLaneTakesNothingDown(t *testing.T) {
	var l *LaneRecorder
	l.Begin("build")
	l.End("built")
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestExitCodeOfAnError(t *testing.T) {
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	live := context.Background()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"no error", live, nil, ExitOK},
		{"a plain error", live, errors.New("x"), ExitFailed},
		{"a mistake in the command line", live, Usagef("bad"), ExitUsage},
		{"a coded error below a wrapping one", live, fmt.Errorf("serving: %w", &Error{Err: errors.New("x"), Code: ExitModel}), ExitModel},
		{"Ctrl-C", interrupted, fmt.Errorf("building: %w", context.Canceled), ExitInterrupted},
		{"a cancellation of our own is a failure", live, context.Canceled, ExitFailed},
		{"a failure that Ctrl-C did not cause", interrupted, errors.New("disk full"), ExitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Code(c.ctx, c.err); got != c.want {
				t.Errorf("Code = %d, want %d", got, c.want)
			}
		})
	}
}

func TestReportPrintsEachErrorOfAJoinWithItsCure(t *testing.T) {
	var b bytes.Buffer
	err := errors.Join(
		&Error{Err: errors.New("cell a: no engine"), Cure: "make engine", Code: 1},
		errors.New("cell b: line one\nline two"),
	)
	Report(&b, "llcuda-build", ExitFailed, err)
	want := "llcuda-build: error: cell a: no engine\nllcuda-build: hint: make engine\n" +
		"llcuda-build: error: cell b: line one\n  line two\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestReportTellsOneCureOfARowOnce(t *testing.T) {
	var b bytes.Buffer
	one := func(text, cure string) error { return &Error{Err: errors.New(text), Cure: cure, Code: 1} }
	Report(&b, "x", ExitFailed, errors.Join(one("a", "wait"), one("b", "wait"), one("c", "run")))
	if want := "x: error: a\nx: error: b\nx: hint: wait\nx: error: c\nx: hint: run\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestProgressOnAPipeSpeaksAtEachStepAndThenSparsely(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, false)
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	for i := range int64(100) {
		p.Set("cpu", "build", i, 458, Steps)
		now = now.Add(100 * time.Millisecond)
	}
	p.Set("cpu", "install", 0, 0, Steps)
	p.Finish("cpu", "built in 10 s")
	want := "cpu: build 0/458\ncpu: build 50/458\ncpu: install\ncpu: built in 10 s\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestProgressOfBytesShowsRateAndTimeLeft(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, false)
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	p.Set("app", "downloading", 0, 100e6, Bytes)
	now = now.Add(10 * time.Second)
	p.Set("app", "downloading", 20e6, 100e6, Bytes)
	if want := "app: downloading 20.0 MB of 100.0 MB, 2.0 MB/s, 40s left\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("got %q, want a last line %q", b.String(), want)
	}
}

func TestTheRateIsOfTheLastWhile(t *testing.T) {
	for _, c := range []struct {
		name  string
		rates []float64 // one for each second, in MB/s
		start float64   // MB that an earlier run had
		want  string
	}{
		{"a resumed download counts what comes now", []float64{2, 2, 2, 2, 2, 2}, 900, "2.0 MB/s, 44s left"},
		{"a slow start is forgotten", append(make([]float64, 600), 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5), 0, "5.0 MB/s, 3m7s left"},
		{"a stop is seen", append([]float64{50, 50, 50}, make([]float64, 13)...), 0, "of 1.0 GB"},
		{"days are not counted out", []float64{0.001, 0.001, 0.001, 0.001, 0.001, 0.001}, 0, "1.0 kB/s, more than 100h left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			p := NewProgress(&b, false)
			now := time.Unix(0, 0)
			p.now = func() time.Time { return now }
			p.every = time.Second
			done := c.start
			p.Set("app", "downloading", int64(done*1e6), 1000e6, Bytes)
			for _, r := range c.rates {
				for range 10 {
					done += r / 10
					now = now.Add(100 * time.Millisecond)
					p.Set("app", "downloading", int64(done*1e6), 1000e6, Bytes)
				}
			}
			if !strings.HasSuffix(b.String(), c.want+"\n") {
				lines := strings.Split(strings.TrimSpace(b.String()), "\n")
				t.Errorf("got %q, want an end %q", lines[len(lines)-1], c.want)
			}
		})
	}
}

func TestADownloadThatStartsOverHasNoNegativeRate(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, true)
	now := time.Unix(0, 0)
	p.now, p.every = func() time.Time { return now }, 0
	for _, done := range []int64{0, 50e6, 100e6, 0, 10e6, 20e6} {
		p.Set("app", "downloading", done, 100e6, Bytes)
		now = now.Add(2 * time.Second)
	}
	if got := b.String(); strings.Contains(got, `"rate":-`) || !strings.Contains(got, `"done":20000000,"total":100000000,"unit":"bytes","rate":5000000}`) {
		t.Error(got)
	}
}

func TestProgressAsJSONIsOneEventALine(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, true)
	p.Set("app", "downloading", 5, 10, Bytes)
	p.Finish("app", "verified")
	want := `{"item":"app","step":"downloading","done":5,"total":10,"unit":"bytes"}` + "\n" + `{"item":"app","step":"verified"}` + "\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 15_200_000: "15.2 MB", 2_147_483_648: "2.1 GB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestExecuteTellsUsageFromFailure(t *testing.T) {
	fails := errors.New("the work failed")
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"an unknown command", []string{"frobnicate"}, ExitUsage},
		{"an unknown flag", []string{"work", "--nope"}, ExitUsage},
		{"too few arguments", []string{"work"}, ExitUsage},
		{"the work itself failing", []string{"work", "x"}, ExitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := &cobra.Command{Use: "tool"}
			root.AddCommand(&cobra.Command{Use: "work ITEM", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return fails }})
			root.SetArgs(c.args)
			err := Execute(context.Background(), root, NewStreams(strings.NewReader(""), io.Discard, io.Discard, nil))
			if got := Code(context.Background(), err); got != c.want {
				t.Errorf("exit %d (%v), want %d", got, err, c.want)
			}
		})
	}
}

func TestALaterPairOfTheEnvironmentWins(t *testing.T) {
	s := NewStreams(nil, nil, nil, []string{"A=1", "A=2", "broken"})
	if s.Env("A") != "2" || s.Env("broken") != "" {
		t.Errorf("A=%q broken=%q", s.Env("A"), s.Env("broken"))
	}
}

package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// split are options that use several connections at once, in small pieces.
func (s *server) split(t *testing.T) Options {
	o := s.options(t)
	r := NewResource(nil, getter(s.URL+"/part.tar.zst"))
	o.Open, o.OpenRange = r.Open, r.OpenRange
	o.pace = pace{piece: 10_000, always: true}
	return o
}

func TestSeveralConnectionsBringTheFileInOrder(t *testing.T) {
	s := serve(t, randomBytes(1_000_003))
	var now, most atomic.Int32
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			return false
		}
		k := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); k > m && !most.CompareAndSwap(m, k); m = most.Load() {
		}
		s.sendPart(w, r, min(offsetOf(r)+5_000, len(s.data))) // half a piece, so that all are on their way
		return true
	}
	o := s.split(t)
	var last int64
	o.Progress = func(done, _ int64) { last = done }
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if last != o.Size {
		t.Errorf("progress ended at %d", last)
	}
	if most.Load() < 2 || most.Load() > 6 {
		t.Errorf("%d requests at once", most.Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.ranges[1:] {
		if !strings.HasPrefix(r, "bytes=") || strings.HasSuffix(r, "-") {
			t.Fatalf("asked for %q", r)
		}
	}
}

func TestAServerWithoutRangesIsReadInOneStream(t *testing.T) {
	s := serve(t, randomBytes(300_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(s.data)))
		w.Write(s.data)
		return true
	}
	o := s.split(t)
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if n := s.count(); n > 10 { // the first, a round of ranges, the second and its start
		t.Errorf("%d requests", n)
	}
}

func TestAStallOfOneConnectionHoldsUpItsPieceOnly(t *testing.T) {
	s := serve(t, randomBytes(200_000))
	var stalled atomic.Bool
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if offsetOf(r) >= 100_000 && stalled.CompareAndSwap(false, true) {
			s.sendPart(w, r, offsetOf(r)+100)
			<-r.Context().Done()
			return true
		}
		return false
	}
	o := s.split(t)
	o.Stall = 100 * time.Millisecond
	o.Retrying = func(err error, _ time.Duration) { t.Errorf("all was begun anew: %v", err) }
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if !stalled.Load() {
		t.Error("nothing stalled")
	}
}

func TestWhatSeveralConnectionsLeaveIsOnePieceFromTheStart(t *testing.T) {
	s := serve(t, randomBytes(400_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if from := offsetOf(r); from >= 150_000 && from < 160_000 { // one piece never comes
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}
	o := s.split(t)
	_, err := File(t.Context(), o)
	var u *UnfinishedError
	if !errors.As(err, &u) || u.Done > 160_000 {
		t.Fatalf("got %v", err)
	}
	left, err := os.ReadFile(o.Dest + Unverified)
	if err != nil || int64(len(left)) != u.Done || !slices.Equal(left, s.data[:len(left)]) {
		t.Errorf("%d bytes are left, %v", len(left), err)
	}
	s.mu.Lock() // requests that were broken off may still be on their way
	s.before = nil
	s.mu.Unlock()
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
}

func TestAFileThatChangesBetweenRangesIsNoticed(t *testing.T) {
	for _, header := range []string{"ETag", "Last-Modified"} {
		for _, c := range []struct {
			name    string
			changes int // how often it changes
			ok      bool
		}{{"once is healed", 1, true}, {"for ever is refused", 1000, false}} {
			t.Run(header+" "+c.name, func(t *testing.T) {
				s := serve(t, randomBytes(200_000))
				var changed atomic.Int32
				s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
					version := changed.Load()
					if offsetOf(r) > 0 && int(version) < c.changes {
						version = changed.Add(1)
					}
					if header == "ETag" {
						w.Header().Set(header, fmt.Sprintf(`"v%d"`, version))
					} else {
						w.Header().Set(header, time.Unix(1_700_000_000+int64(version), 0).UTC().Format(http.TimeFormat))
					}
					return false
				}
				o := s.split(t)
				_, err := File(t.Context(), o)
				if c.ok {
					if err != nil {
						t.Fatal(err)
					}
					wantDone(t, o.Dest, s.data)
					return
				}
				var m *MismatchError
				if !errors.As(err, &m) || !m.Changed || !strings.Contains(m.Error(), "changed on the server") || !strings.Contains(m.Hint(), "replacing") {
					t.Fatalf("got %v", err)
				}
				wantFiles(t, filepath.Dir(o.Dest))
			})
		}
	}
}

func TestWhenOneStreamIsWorthSplitting(t *testing.T) {
	p := pace{}.complete()
	for _, c := range []struct {
		name string
		rate float64
		left int64
		want bool
	}{
		{"a slow stream with much left", 5e6, 200e6, true},
		{"a fast stream that is soon done", 200e6, 500e6, false},
		{"a small file", 1e5, 30 << 20, false},
		{"a gigabyte at a gigabit", 120e6, 1e9, true},
	} {
		if got := p.worth(c.rate, c.left); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestConnectionsAreAddedWhileTheyBringMore(t *testing.T) {
	for _, c := range []struct {
		name string
		// rates are those of 2, 4, 6 connections, in megabytes a second; one has 10.
		rates map[int]float64
		want  int // 0 = one stream is as good
	}{
		{"a limit of each connection", map[int]float64{2: 20, 4: 40, 6: 60}, 6},
		{"a limit of all together", map[int]float64{2: 10, 4: 10, 6: 10}, 0},
		{"a limit that three reach", map[int]float64{2: 20, 4: 30, 6: 30}, 4},
		{"a limit that two reach", map[int]float64{2: 20, 4: 20, 6: 20}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := growth{most: 6, want: 2, best: 10e6}
			now, came := time.Unix(0, 0), int64(0)
			var err error
			for range 20 {
				came += int64(c.rates[g.want] * 1e6)
				now = now.Add(time.Second)
				if err = g.step(came, now); err != nil {
					break
				}
			}
			if c.want == 0 {
				if !errors.Is(err, errNotFaster) {
					t.Errorf("%d connections, %v", g.want, err)
				}
			} else if err != nil || g.want != c.want || !g.settled {
				t.Errorf("%d connections, %v, want %d", g.want, err, c.want)
			}
		})
	}
}

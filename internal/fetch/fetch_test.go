package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAWholeFileIsFetchedOnceAndThenOnlyChecked(t *testing.T) {
	s := serve(t, randomBytes(700_000))
	o := s.options(t)
	var last int64
	o.Progress = func(done, total int64) {
		if done < last || done > total || total != o.Size {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last = done
	}
	for range 2 {
		path, err := File(t.Context(), o)
		if err != nil || path != o.Dest {
			t.Fatal(path, err)
		}
		wantDone(t, o.Dest, s.data)
	}
	if s.count() != 1 || last != o.Size {
		t.Errorf("%d requests, progress ended at %d", s.count(), last)
	}
}

func TestAWrongDestIsReplaced(t *testing.T) {
	s := serve(t, randomBytes(1000))
	o := s.options(t)
	os.MkdirAll(filepath.Dir(o.Dest), 0o755)
	damaged := slices.Clone(s.data)
	damaged[500] ^= 1
	if err := os.WriteFile(o.Dest, damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
}

func TestAnEmptyFileNeedsNoRequest(t *testing.T) {
	s := serve(t, nil)
	o := s.options(t)
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, nil)
	if s.count() != 0 {
		t.Errorf("%d requests", s.count())
	}
}

func TestACutAtEveryTenthIsResumedWhereItStopped(t *testing.T) {
	s := serve(t, randomBytes(1_000_003))
	tenth := len(s.data) / 10
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n <= 10 {
			s.sendPart(w, r, n*tenth)
			return true
		}
		return false
	}
	o := s.options(t)
	o.Retries = 1 // each attempt brings bytes, so ten cuts are no reason to give up
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	want := []string{""}
	for n := 1; n <= 10; n++ {
		want = append(want, fmt.Sprintf("bytes=%d-", n*tenth))
	}
	if !slices.Equal(s.ranges, want) {
		t.Errorf("asked for %q, want %q", s.ranges, want)
	}
}

func TestAnotherCallResumesWhatACutLeft(t *testing.T) {
	s := serve(t, randomBytes(100_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		s.sendPart(w, r, 60_000)
		return true
	}
	o := s.options(t)
	_, err := File(t.Context(), o)
	var u *UnfinishedError
	if !errors.As(err, &u) || u.Done != 60_000 || u.ExitCode() != 4 {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(u.Error(), "60000 of 100000") || !strings.Contains(u.Hint(), "again") {
		t.Errorf("%v; hint: %s", u, u.Hint())
	}
	wantFiles(t, filepath.Dir(o.Dest), "part.tar.zst.unverified")
	s.before = nil
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if got := s.ranges[len(s.ranges)-1]; got != "bytes=60000-" {
		t.Errorf("asked for %q", got)
	}
}

func TestAStallEndsTheAttemptAndTheNextGoesOn(t *testing.T) {
	for _, where := range []string{"before the header", "in the middle"} {
		t.Run(where, func(t *testing.T) {
			s := serve(t, randomBytes(50_000))
			s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > 1 {
					return false
				}
				if where == "in the middle" {
					s.sendPart(w, r, 20_000)
				}
				<-r.Context().Done() // silent until the client goes away
				return true
			}
			o := s.options(t)
			o.Stall = 60 * time.Millisecond
			var why error
			o.Retrying = func(err error, _ time.Duration) { why = err }
			if _, err := File(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			wantDone(t, o.Dest, s.data)
			if why == nil || !strings.Contains(why.Error(), "no byte came for 60ms") {
				t.Errorf("retried because of %v", why)
			}
		})
	}
}

func TestASlowServerIsNotAStall(t *testing.T) {
	s := serve(t, randomBytes(4_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(s.data)))
		for i := 0; i < len(s.data); i += 100 { // 40 × 10 ms, longer than Stall
			w.Write(s.data[i : i+100])
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond) // the slowness under test
		}
		return true
	}
	o := s.options(t)
	o.Stall = 300 * time.Millisecond
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if s.count() != 1 {
		t.Errorf("%d requests", s.count())
	}
}

func TestBytesThatDoNotMatch(t *testing.T) {
	good := randomBytes(30_000)
	flipped := slices.Clone(good)
	flipped[12_345] ^= 0x10
	cases := []struct {
		name string
		// sent is what the server has, times how often it sends it before it
		// sends the right bytes; length tells it in the header or not.
		sent     []byte
		times    int
		length   bool
		ok       bool
		requests int
		got      string
	}{
		{"a flipped byte once is healed", flipped, 1, true, true, 2, ""},
		{"a flipped byte twice is refused", flipped, 2, true, false, 2, "sha256:" + hexSum(flipped)},
		{"a longer file is refused by its header", append(slices.Clone(good), 'x'), 9, true, false, 2, "30001 bytes"},
		{"a longer file without a length is cut to size", append(slices.Clone(good), 'x'), 9, false, true, 1, ""},
		{"a shorter file is refused by its header", good[:29_999], 9, true, false, 2, "29999 bytes"},
		{"an empty file is refused by its header", nil, 9, true, false, 2, "0 bytes"},
		{"a page of the hotel's wifi is refused", []byte("<html>log in"), 9, true, false, 2, "12 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, good)
			s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > c.times {
					return false
				}
				if c.length {
					w.Header().Set("Content-Length", fmt.Sprint(len(c.sent)))
				} else {
					w.(http.Flusher).Flush()
				}
				w.Write(c.sent)
				return true
			}
			o := s.options(t)
			_, err := File(t.Context(), o)
			if s.count() != c.requests {
				t.Errorf("%d requests, want %d", s.count(), c.requests)
			}
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				wantDone(t, o.Dest, good)
				return
			}
			var m *MismatchError
			if !errors.As(err, &m) || m.Got != c.got || m.ExitCode() != 4 || m.Hint() == "" || m.Name != "part.tar.zst" {
				t.Fatalf("got %v", err)
			}
			wantFiles(t, filepath.Dir(o.Dest)) // nothing is left
		})
	}
}

func TestAShorterFileWithoutALengthEndsInAnError(t *testing.T) {
	s := serve(t, randomBytes(5_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.(http.Flusher).Flush()
		w.Write(s.data[:4_000])
		return true
	}
	o := s.options(t)
	_, err := File(t.Context(), o)
	var u *UnfinishedError
	if !errors.As(err, &u) || u.Done != 4_000 {
		t.Fatalf("got %v", err)
	}
}

func TestAPartialFileLongerThanTheServersIsAMismatch(t *testing.T) {
	s := serve(t, randomBytes(5_000))
	o := s.options(t)
	s.data = s.data[:3_000] // the server's file shrank; ServeContent says 416
	os.MkdirAll(filepath.Dir(o.Dest), 0o755)
	os.WriteFile(o.Dest+Unverified, randomBytes(4_000), 0o644)
	_, err := File(t.Context(), o)
	var m *MismatchError
	if !errors.As(err, &m) {
		t.Fatalf("got %v", err)
	}
}

func TestAPartialFileOfOtherBytesIsThrownAway(t *testing.T) {
	for _, size := range []int{10_000, 49_999, 50_000, 50_001} {
		t.Run(fmt.Sprint(size, " foreign bytes"), func(t *testing.T) {
			s := serve(t, randomBytes(50_000))
			o := s.options(t)
			os.MkdirAll(filepath.Dir(o.Dest), 0o755)
			os.WriteFile(o.Dest+Unverified, make([]byte, size), 0o644)
			if _, err := File(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			wantDone(t, o.Dest, s.data)
		})
	}
}

func TestACompletePartialFileNeedsNoRequest(t *testing.T) {
	s := serve(t, randomBytes(50_000))
	o := s.options(t)
	os.MkdirAll(filepath.Dir(o.Dest), 0o755)
	os.WriteFile(o.Dest+Unverified, s.data, 0o644)
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if s.count() != 0 {
		t.Errorf("%d requests", s.count())
	}
}

func TestAServerThatIgnoresTheRangeIsReadFromItsStart(t *testing.T) {
	s := serve(t, randomBytes(90_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(s.data)))
		if n == 1 {
			w.Write(s.data[:40_000]) // and then it is cut
			return true
		}
		w.Write(s.data)
		return true
	}
	o := s.options(t)
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if want := []string{"", "bytes=40000-", ""}; !slices.Equal(s.ranges, want) {
		t.Errorf("asked for %q, want %q", s.ranges, want)
	}
}

func TestAServerThatSendsAnotherRangeIsReadFromItsStart(t *testing.T) {
	s := serve(t, randomBytes(9_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if offsetOf(r) == 0 {
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(s.data)-1, len(s.data)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.data)
		return true
	}
	o := s.options(t)
	os.MkdirAll(filepath.Dir(o.Dest), 0o755)
	os.WriteFile(o.Dest+Unverified, s.data[:5_000], 0o644)
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
}

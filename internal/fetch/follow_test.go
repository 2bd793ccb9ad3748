package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAFollowerReadsTheFileWhileItComes(t *testing.T) {
	data := randomBytes(500_000)
	half := make(chan struct{})
	for name, prepare := range map[string]func(s *server, o *Options){
		"from nothing": func(s *server, o *Options) {
			s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > 1 {
					return false
				}
				s.sendPart(w, r, 250_000)
				<-half // the rest comes only when the follower has the first half
				return true
			}
		},
		"from a prefix": func(_ *server, o *Options) {
			os.MkdirAll(filepath.Dir(o.Dest), 0o755)
			os.WriteFile(o.Dest+Unverified, data[:300_000], 0o644)
		},
		"from a whole file": func(_ *server, o *Options) {
			os.MkdirAll(filepath.Dir(o.Dest), 0o755)
			os.WriteFile(o.Dest, data, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, data)
			o := s.options(t)
			prepare(s, &o)
			var got bytes.Buffer
			o.Follow = func(_ context.Context, r io.Reader) error {
				got.Reset()
				_, err := io.CopyN(&got, r, 250_000)
				if name == "from nothing" {
					close(half)
				}
				if err == nil {
					_, err = io.Copy(&got, r)
				}
				return err
			}
			if _, err := File(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), data) {
				t.Errorf("followed %d bytes", got.Len())
			}
			wantDone(t, o.Dest, data)
		})
	}
}

func TestAFollowerStartsOverWithTheDownload(t *testing.T) {
	data := randomBytes(50_000)
	wrong := slices.Clone(data)
	wrong[7] ^= 1
	s := serve(t, data)
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			w.Write(wrong)
		}
		return n == 1
	}
	o := s.options(t)
	var runs [][]byte
	var ends []error
	o.Follow = func(_ context.Context, r io.Reader) error {
		b, err := io.ReadAll(r)
		runs, ends = append(runs, b), append(ends, err)
		return errors.New("of no interest")
	}
	_, err := File(t.Context(), o)
	if err == nil || err.Error() != "of no interest" { // the bytes are right: its word counts
		t.Fatal(err)
	}
	if len(runs) != 2 || !bytes.Equal(runs[1], data) || ends[1] != nil {
		t.Errorf("%d runs, the last ended with %v", len(runs), ends[len(ends)-1])
	}
	wantDone(t, o.Dest, data)
}

func TestAFollowerOfAFailedDownloadIsToldWhy(t *testing.T) {
	s := serve(t, randomBytes(50_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		s.sendPart(w, r, 20_000)
		return true
	}
	o := s.options(t)
	o.Retries = -1
	var seen error
	o.Follow = func(_ context.Context, r io.Reader) error {
		_, seen = io.Copy(io.Discard, r)
		return nil
	}
	_, err := File(t.Context(), o)
	var u, told *UnfinishedError
	if !errors.As(err, &u) || !errors.As(seen, &told) {
		t.Errorf("File: %v; its follower: %v", err, seen)
	}
}

func TestAFollowerIsInterruptedWithTheDownload(t *testing.T) {
	s := serve(t, randomBytes(50_000))
	s.before = func(n int, w http.ResponseWriter, r *http.Request) bool {
		s.sendPart(w, r, 20_000)
		<-r.Context().Done()
		return true
	}
	o := s.options(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	o.Follow = func(_ context.Context, r io.Reader) error {
		if _, err := io.CopyN(io.Discard, r, 20_000); err != nil {
			return err
		}
		cancel(stop)
		_, err := io.Copy(io.Discard, r)
		return err
	}
	if _, err := File(ctx, o); !errors.Is(err, stop) {
		t.Fatal(err)
	}
}

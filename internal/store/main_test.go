package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waqasm86/llcuda/bundles"
	"github.com/waqasm86/llcuda/internal/fetch"
)

// childEnv makes the test binary a program that installs one bundle and prints
// its folder.
const childEnv = "LLCUDA_STORE_CHILD"

type childInput struct {
	Dir, URL, BundleID, Runtime string
	Manifest                    *bundles.Manifest
	// KillAt is the number (from 1) of the step at which the child kills itself.
	KillAt int
	// Steps makes the child print its steps.
	Steps bool
	// FileLimit is RLIMIT_FSIZE in bytes, 0 for none.
	FileLimit uint64
	// UID, if not 0, is whom root becomes first.
	UID int
}

func TestMain(m *testing.M) {
	if in := os.Getenv(childEnv); in != "" {
		os.Exit(child(in))
	}
	os.Exit(m.Run())
}

func child(raw string) int {
	var in childInput
	err := json.Unmarshal([]byte(raw), &in)
	if err == nil && in.FileLimit > 0 {
		signal.Ignore(unix.SIGXFSZ)
		err = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: in.FileLimit, Max: in.FileLimit})
	}
	if err == nil && in.UID != 0 && os.Geteuid() == 0 {
		err = unix.Setresuid(in.UID, in.UID, in.UID)
	}
	var s *Store
	if err == nil {
		s, err = Open(in.Dir)
	}
	if err != nil {
		return failed(err)
	}
	n := 0
	s.step = func(name string) {
		n++
		if in.Steps {
			fmt.Println(name)
		}
		if n == in.KillAt {
			unix.Kill(os.Getpid(), unix.SIGKILL)
		}
	}
	got, err := s.Install(context.Background(), InstallInput{
		Manifest: in.Manifest, BundleID: in.BundleID, Runtime: in.Runtime, OpenPart: from(in.URL),
		Waiting: func(pid int) { fmt.Fprintln(os.Stderr, "waiting for", pid) },
		Fetch:   fetch.Options{Backoff: time.Millisecond, Retries: 2},
	})
	if err != nil {
		return failed(err)
	}
	fmt.Println(got.Dir)
	return 0
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	var h interface{ Hint() string }
	if asHint(err, &h) {
		fmt.Fprintln(os.Stderr, "hint:", h.Hint())
	}
	return 1
}

// from opens parts at an HTTP server.
func from(url string) func(context.Context, bundles.Part, int64) (io.ReadCloser, int64, error) {
	return func(ctx context.Context, p bundles.Part, offset int64) (io.ReadCloser, int64, error) {
		return fetch.HTTP(&http.Client{}, func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, url+"/"+p.Name, nil)
		})(ctx, offset)
	}
}

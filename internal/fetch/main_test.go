package fetch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes the test binary a program that fetches one file and ends.
const childEnv = "LLCUDA_FETCH_CHILD"

type childInput struct {
	URL, Dest, SHA256 string
	Size              int64
	// FileLimit is RLIMIT_FSIZE in bytes, 0 for none.
	FileLimit uint64
	// Split uses several connections, in small pieces.
	Split bool
}

func TestMain(m *testing.M) {
	if in := os.Getenv(childEnv); in != "" {
		os.Exit(child(in))
	}
	os.Exit(m.Run())
}

func child(raw string) int {
	var in childInput
	if err := json.Unmarshal([]byte(raw), &in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if in.FileLimit > 0 {
		signal.Ignore(unix.SIGXFSZ)
		limit := unix.Rlimit{Cur: in.FileLimit, Max: in.FileLimit}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	r := NewResource(nil, plainGetter(in.URL))
	o := Options{
		Open: r.Open, Dest: in.Dest, Size: in.Size, SHA256: in.SHA256,
		Backoff: time.Millisecond, Retries: 3, Stall: 10 * time.Second,
	}
	if in.Split {
		o.OpenRange, o.pace = r.OpenRange, pace{piece: 20_000, always: true}
	}
	_, err := File(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if h, ok := err.(interface{ Hint() string }); ok {
			fmt.Fprintln(os.Stderr, "hint:", h.Hint())
		}
		return 1
	}
	return 0
}

func get(url string) Opener {
	return HTTP(&http.Client{}, plainGetter(url))
}

func plainGetter(url string) func(ctx context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	}
}

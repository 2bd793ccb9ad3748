// Command github serves the fake GitHub of the tests on loopback, as repository
// owner/repo with tags: the API, and the pages that files of a public release
// are downloaded from. scripts/rehearse-release.sh publishes to it.
//
//	github -tag TAG=COMMIT [-tag TAG=COMMIT…] -files DIR [-pause DURATION]
//
// DIR/env is written when it is ready, for a shell; each request's phases go to
// DIR/requests. SIGTERM ends it: it then says what became public, and exits 1
// where a release was public in more than one state, where a draft is left, or
// where a request or a reply was none of GitHub's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/internal/release/hubtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "github: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("github", flag.ContinueOnError)
	tags := map[string]string{}
	set.Func("tag", "a tag that was pushed, and its commit: `TAG=COMMIT`", func(given string) error {
		tag, commit, ok := strings.Cut(given, "=")
		if !ok {
			return errors.New("it is TAG=COMMIT")
		}
		tags[tag] = commit
		return nil
	})
	dir := set.String("files", "", "folder for env and requests")
	pause := set.Duration("pause", 0, "how long each upload stands still at its half")
	if err := set.Parse(args); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(*dir, "requests"))
	if err != nil {
		return err
	}
	defer log.Close()
	t := &judge{ctx: ctx, out: stderr}
	f := hubtest.New(t)
	defer t.close()
	f.Anonymous = true
	f.Tags = tags
	for _, commit := range tags {
		f.Commits[commit] = true
	}
	f.Hook = func(n int, phase string) {
		var c hubtest.Call
		f.Do(func() { c = f.Calls[n] })
		fmt.Fprintf(log, "%d %s %s\n", n, c, phase)
		if phase == "half" {
			wait(ctx, *pause)
		}
	}
	pages, err := serve(ctx, f)
	if err != nil {
		return err
	}
	env := fmt.Sprintf("export GITHUB_API_URL=%s GITHUB_SERVER_URL=%s GITHUB_TOKEN=%s\n", f.URL(), pages, hubtest.Token)
	ready := filepath.Join(*dir, "env")
	if err := os.WriteFile(ready+".part", []byte(env), 0o600); err != nil {
		return err
	}
	if err := os.Rename(ready+".part", ready); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(append(t.faults(), tell(f, stdout))...)
}

// tell says what became public, and what is wrong with it.
func tell(f *hubtest.Hub, out io.Writer) error {
	var errs []error
	f.Do(func() {
		for tag, states := range f.Public {
			if n := len(slices.Compact(slices.Clone(states))); n != 1 {
				errs = append(errs, fmt.Errorf("%s was public in %d states", tag, n))
			}
		}
		for _, r := range f.Releases {
			if r.Draft {
				errs = append(errs, fmt.Errorf("draft %d of %s is left", r.ID, r.Tag))
				continue
			}
			fmt.Fprintf(out, "%s: public with %d files, latest: %v\n", r.Tag, len(r.Assets), r.ID == f.Latest)
			for _, a := range r.Assets {
				if a.State != "uploaded" {
					errs = append(errs, fmt.Errorf("%s of %s is a broken upload", a.Name, r.Tag))
				}
			}
		}
		fmt.Fprintf(out, "%d requests\n", len(f.Calls))
	})
	return errors.Join(errs...)
}

// serve serves the pages OWNER/REPO/releases/download/TAG/FILE and
// …/releases/latest/download/FILE until ctx ends.
func serve(ctx context.Context, f *hubtest.Hub) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := public(f, r.URL.Path)
		if data == nil || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	})}
	go server.Serve(l) //nolint:errcheck // ends with the program
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// public is the file of a public release that a page's path names, or nil.
func public(f *hubtest.Hub, path string) (data []byte) {
	rest, ok := strings.CutPrefix(path, "/owner/repo/releases/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return nil
	}
	f.Do(func() {
		for _, r := range f.Releases {
			at := parts[0] == "download" && parts[1] == r.Tag || parts[0] == "latest" && parts[1] == "download" && r.ID == f.Latest
			if r.Draft || !at {
				continue
			}
			for _, a := range r.Assets {
				if a.Name == parts[2] && a.State == "uploaded" {
					data = a.Data
				}
			}
		}
	})
	return data
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// judge is what the fake complains to, in the place of a test.
type judge struct {
	testing.TB // for what the fake never calls
	ctx        context.Context
	out        io.Writer

	mu      sync.Mutex
	errs    []error
	cleanup []func()
}

func (j *judge) Helper() {}

// Context outlives the signal: what is being answered is held to the description still.
func (j *judge) Context() context.Context { return context.WithoutCancel(j.ctx) }

func (j *judge) Cleanup(fn func()) { j.cleanup = append(j.cleanup, fn) }

func (j *judge) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.errs = append(j.errs, fmt.Errorf(format, args...))
	fmt.Fprintf(j.out, "github: "+format+"\n", args...)
}

func (j *judge) faults() []error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.errs)
}

func (j *judge) close() {
	for _, fn := range slices.Backward(j.cleanup) {
		fn()
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waqasm86/llcuda/bundles"
)

// held makes an install's unpacking of the app part wait until all parts are
// downloaded, or until it has waited so long that they never will be.
func held(t *testing.T, in *InstallInput) {
	t.Helper()
	whole := make(chan struct{})
	all := sync.OnceFunc(func() { close(whole) })
	in.Progress = func(done, total int64) {
		if done == total {
			all()
		}
	}
	wait := sync.OnceFunc(func() {
		select {
		case <-whole:
		case <-time.After(20 * time.Second):
			t.Error("the runtime part is not downloaded while the app part is unpacked")
		}
	})
	in.Unpacking = func(part string, _, _ int64) {
		if part == "app1.tar.zst" {
			wait()
		}
	}
}

func TestAPartIsDownloadedWhileTheOneBeforeIsUnpacked(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	in := r.input()
	held(t, &in)
	wantTree(t, install(t, s, in).Dir, merged(1))
	wantNames(t, s, oneInstalled...)
}

func TestAPartIsDownloadedWhileOneThatWasThereIsUnpacked(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	hex, err := bundles.SHA256Hex(r.m.Bundles[0].App)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path(downloadsDir+"/sha256-"+hex), r.files["app1.tar.zst"], 0o644); err != nil {
		t.Fatal(err)
	}
	w.end()
	in := r.input()
	held(t, &in)
	wantTree(t, install(t, s, in).Dir, merged(1))
	if got := r.requests(); got != "runtime.tar.zst:1" {
		t.Error(got)
	}
}

func TestOnePartAtATimeIsUnpacked(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	var mu sync.Mutex
	var seen []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 || seen[len(seen)-1] != what {
			seen = append(seen, what)
		}
	}
	s.step = note
	in := r.input()
	held(t, &in) // so that the second part is there long before its turn
	inner := in.Unpacking
	in.Unpacking = func(part string, done, total int64) {
		note(part)
		inner(part, done, total)
	}
	install(t, s, in)
	want := []string{"locked", "app1.tar.zst", "unpacked", "part in place", "part recorded",
		"runtime.tar.zst", "unpacked", "part in place", "part recorded", "linked", "bundle in place", "bundle recorded"}
	if !slices.Equal(seen, want) {
		t.Errorf("got  %q\nwant %q", seen, want)
	}
}

func TestWithRoomForOnePartAtATimeThatIsWhatIsDone(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	in := r.input()
	app, rt := r.m.Parts[r.m.Bundles[0].App], r.m.Parts[in.Runtime]
	apart := max(app.Size+app.Unpacked, app.Unpacked+rt.Size+rt.Unpacked)
	beside := max(app.Size+rt.Size+app.Unpacked, app.Unpacked+rt.Size+rt.Unpacked)
	if apart == beside {
		t.Fatalf("both ways need %d bytes: the test does not test", apart)
	}
	in.Fetch.FreeSpace = func(string) (uint64, error) { return uint64(beside - 1), nil }
	first := sync.OnceFunc(func() {
		time.Sleep(100 * time.Millisecond) // time enough to ask for the other part
		if got := r.requests(); got != "app1.tar.zst:1" {
			t.Errorf("asked for %s before the app part was done", got)
		}
	})
	s.step = func(name string) {
		if name == "part recorded" {
			first()
		}
	}
	install(t, s, in)
	wantNames(t, s, oneInstalled...)
}

func TestWhatWasDownloadedAheadOfAPartThatFailsIsKept(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	digest := r.m.Bundles[0].App
	right := r.m.Parts[digest]
	wrong := right
	wrong.Contents = "sha256:" + strings.Repeat("0", 64)
	r.m.Parts[digest] = wrong
	in := r.input()
	held(t, &in)
	_, err := s.Install(t.Context(), in)
	var bad *PartError
	if !errors.As(err, &bad) || bad.Name != "app1.tar.zst" || strings.Contains(err.Error(), "before this one") {
		t.Fatalf("got %v", err)
	}
	wantNames(t, s, "store.json", "lock", "downloads/D")
	r.m.Parts[digest] = right
	wantTree(t, install(t, s, r.input()).Dir, merged(1))
	if got := r.requests(); got != "app1.tar.zst:2 runtime.tar.zst:1" {
		t.Error(got)
	}
	wantNames(t, s, oneInstalled...)
}

func TestAPartThatFailsLeavesTheOneBeforeItDone(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	r.mu.Lock()
	packed := r.files["runtime.tar.zst"]
	delete(r.files, "runtime.tar.zst")
	r.mu.Unlock()
	_, err := s.Install(t.Context(), r.input())
	if err == nil || !strings.Contains(err.Error(), "runtime.tar.zst") || strings.Contains(err.Error(), "app1") {
		t.Fatalf("got %v", err)
	}
	wantNames(t, s, "store.json", "lock", "parts/D", "parts/D.json", "downloads/D.unverified")
	r.mu.Lock()
	r.files["runtime.tar.zst"] = packed
	r.mu.Unlock()
	install(t, s, r.input())
	if got := r.requests(); got != "app1.tar.zst:1 runtime.tar.zst:2" {
		t.Error(got)
	}
	wantNames(t, s, oneInstalled...)
}

func TestOfPartsThatFailEachIsNamedOnce(t *testing.T) {
	a, b := &PartError{Name: "a", Err: errors.New("x")}, &PartError{Name: "b", Err: errors.New("y")}
	stopped := fmt.Errorf("downloading c: %w", errEarlier)
	if err := firstOf(t.Context(), []error{a, stopped}); err == nil || err.Error() != a.Error() {
		t.Errorf("got %v", err)
	}
	if err := firstOf(t.Context(), []error{a, b, stopped}); !errors.Is(err, a) || !errors.Is(err, b) || errors.Is(err, errEarlier) {
		t.Errorf("got %v", err)
	}
	if err := firstOf(t.Context(), []error{nil, nil}); err != nil {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := firstOf(ended, []error{a, b}); err == nil || err.Error() != a.Error() {
		t.Errorf("got %v", err)
	}
}

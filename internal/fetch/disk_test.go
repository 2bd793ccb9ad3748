package fetch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFullDiskIsToldBeforeAnythingIsOpened(t *testing.T) {
	s := serve(t, randomBytes(5_000))
	o := s.options(t)
	o.FreeSpace = func(dir string) (uint64, error) {
		if dir != filepath.Dir(o.Dest) {
			t.Errorf("asked about %s", dir)
		}
		return 4_999, nil
	}
	_, err := File(t.Context(), o)
	var space *SpaceError
	if !errors.As(err, &space) || space.Need != 5_000 || space.ExitCode() != 4 || space.Hint() == "" {
		t.Fatalf("got %v", err)
	}
	if s.count() != 0 {
		t.Errorf("%d requests", s.count())
	}
	// What is there already needs no room.
	os.WriteFile(o.Dest+Unverified, s.data[:1], 0o644)
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestAFileSystemThatDoesNotTellItsSpaceIsTried(t *testing.T) {
	s := serve(t, randomBytes(5_000))
	o := s.options(t)
	o.FreeSpace = func(string) (uint64, error) { return 0, unix.ENOSYS }
	if _, err := File(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestFreeSpaceOfAFolderThatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	here, err := FreeSpace(dir)
	if err != nil || here == 0 {
		t.Fatal(here, err)
	}
	if _, err := FreeSpace(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	s := serve(t, randomBytes(10))
	o := s.options(t)
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	o.Dest = filepath.Join(file, "part")
	_, err := File(t.Context(), o)
	var fe *FileError
	if !errors.As(err, &fe) || !strings.Contains(err.Error(), file) || fe.Hint() == "" {
		t.Fatalf("got %v", err)
	}
}

func TestThePartialNameMayNotBeALink(t *testing.T) {
	s := serve(t, randomBytes(10))
	o := s.options(t)
	os.MkdirAll(filepath.Dir(o.Dest), 0o755)
	victim := filepath.Join(t.TempDir(), "victim")
	os.WriteFile(victim, []byte("precious"), 0o644)
	if err := os.Symlink(victim, o.Dest+Unverified); err != nil {
		t.Fatal(err)
	}
	if _, err := File(t.Context(), o); err == nil {
		t.Error("followed")
	}
	if got, _ := os.ReadFile(victim); string(got) != "precious" {
		t.Errorf("victim holds %q", got)
	}
}

func TestTenAtOnceFetchOnce(t *testing.T) {
	s := serve(t, randomBytes(400_000))
	o := s.options(t)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() { _, errs[i] = File(t.Context(), o) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	wantDone(t, o.Dest, s.data)
	if s.count() != 1 {
		t.Errorf("%d requests", s.count())
	}
}

func TestWaitingForAnotherIsSaidOnceAndCanBeInterrupted(t *testing.T) {
	s := serve(t, randomBytes(1_000))
	o := s.options(t)
	holder, err := openPartial(t.Context(), mustComplete(t, o))
	if err != nil {
		t.Fatal(err)
	}
	defer holder.close()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	said := 0
	o.Waiting = func() {
		said++
		cancel(stop)
	}
	if _, err := File(ctx, o); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if said != 1 {
		t.Errorf("said %d times", said)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	s := serve(t, randomBytes(10))
	for name, spoil := range map[string]func(*Options){
		"no opener":     func(o *Options) { o.Open = nil },
		"no dest":       func(o *Options) { o.Dest = "" },
		"unknown size":  func(o *Options) { o.Size = -1 },
		"no hash":       func(o *Options) { o.SHA256 = "" },
		"half a hash":   func(o *Options) { o.SHA256 = o.SHA256[:40] },
		"another hash":  func(o *Options) { o.SHA256 = "sha512:" + o.SHA256 },
		"a hash no hex": func(o *Options) { o.SHA256 = strings.Repeat("x", 64) },
	} {
		o := s.options(t)
		spoil(&o)
		if _, err := File(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if s.count() != 0 {
		t.Errorf("%d requests", s.count())
	}
}

func mustComplete(t *testing.T, o Options) Options {
	t.Helper()
	o, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

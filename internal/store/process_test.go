package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTenProcessesAtOnceInstallOnce(t *testing.T) {
	t.Parallel()
	r, s := newRelease(t), newStore(t)
	var wg sync.WaitGroup
	var out [10]string
	var errs [10]error
	for i := range out {
		cmd := childCommand(t, r.childInput(s))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		wg.Go(func() {
			b, err := cmd.Output()
			out[i] = string(b)
			if err != nil {
				errs[i] = fmt.Errorf("%w: %s", err, &stderr)
			}
			if n := strings.Count(stderr.String(), "waiting for"); n > 1 {
				errs[i] = fmt.Errorf("said %d times that it waits", n)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	if unique := slices.Compact(out[:]); len(unique) != 1 {
		t.Errorf("different folders: %q", unique)
	}
	if r.requests() != "app1.tar.zst:1 runtime.tar.zst:1" {
		t.Error(r.requests())
	}
	wantTree(t, strings.TrimSpace(out[0]), merged(1))
	wantNames(t, s, oneInstalled...)
	count(t, "ten installers at once", 10, "one download of each part, the same folder for all")
}

// wantCured installs on top of what a killed process left and checks that
// nothing of it remains.
func wantCured(t *testing.T, r *testRelease, s *Store) {
	t.Helper()
	if list, err := s.List(); err != nil {
		t.Fatal(err)
	} else if len(list) == 1 { // what counts as installed is whole
		if err := s.Verify(t.Context(), list[0], true); err != nil {
			t.Error(err)
		}
	}
	got := install(t, s, r.input())
	wantTree(t, got.Dir, merged(1))
	if _, err := s.GC(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	wantNames(t, s, oneInstalled...)
	if again := install(t, s, r.input()); again.Fresh {
		t.Error("GC took something that counts")
	}
}

func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	r := newRelease(t)
	in := r.childInput(newStore(t))
	in.Steps = true
	out, err := childCommand(t, in).Output()
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Split(strings.TrimSpace(string(out)), "\n")
	steps = steps[:len(steps)-1] // the folder
	if len(steps) != 10 {
		t.Fatalf("steps: %q", steps)
	}
	for i, name := range steps {
		t.Run(fmt.Sprintf("%d %s", i+1, name), func(t *testing.T) {
			s := newStore(t)
			in := r.childInput(s)
			in.KillAt = i + 1
			err := childCommand(t, in).Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child was not killed: %v", err)
			}
			wantCured(t, r, s)
		})
	}
	count(t, "kill -9 at every step of an install", len(steps), "whole at the next try, nothing left over")
}

func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	r := newRelease(t)
	random := rand.New(rand.NewPCG(20261123, 2))
	began := time.Now()
	if err := childCommand(t, r.childInput(newStore(t))).Run(); err != nil {
		t.Fatal(err)
	}
	span := time.Since(began)
	s := newStore(t)
	kills := fromEnv(killsEnv, 24)
	unfinished := 0
	for i := range kills {
		cmd := childCommand(t, r.childInput(s))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(span)))) // the random moment
		cmd.Process.Kill()
		cmd.Wait()
		list, err := s.List()
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		// How long an install takes depends on what else the machine does: the
		// span of the random moments follows it.
		if len(list) == 0 {
			unfinished++
			span = span * 11 / 10
		} else {
			span = max(span*7/10, time.Millisecond)
		}
		if len(list) > 0 || i%4 == 3 { // else the next kill comes on top of this one
			wantCured(t, r, s)
			s = newStore(t)
		}
		if t.Failed() {
			t.Fatalf("after kill %d", i)
		}
	}
	if unfinished < kills/8 {
		t.Errorf("only %d of %d kills met an unfinished install: the test does not test", unfinished, kills)
	}
	wantCured(t, r, s)
	count(t, "kill -9 at random moments of an install", kills, fmt.Sprintf("%d met an unfinished one; whole at the next try, nothing left over", unfinished))
}

func TestAnInstalledBundleIsUsedFromAReadOnlyStore(t *testing.T) {
	r, s := newRelease(t), newStore(t)
	got := install(t, s, r.input())
	// Somebody without rights (nobody, where the test runs as root) must get
	// through the folders of t.TempDir.
	for dir := s.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o555); err != nil {
			break
		}
	}
	t.Cleanup(func() {
		for dir := s.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			os.Chmod(dir, 0o755)
		}
	})
	before := snapshot(t, s.dir)
	in := r.childInput(s)
	in.UID = 65534
	out, err := childCommand(t, in).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != got.Dir {
		t.Fatalf("%v: %s", err, out)
	}
	if after := snapshot(t, s.dir); after != before {
		t.Error("something was written")
	}
	// What is not there cannot be installed, and the user is told why.
	in.Runtime = ""
	out, err = childCommand(t, in).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "permission denied") ||
		!strings.Contains(string(out), "LLCUDA_HOME") || !strings.Contains(string(out), s.dir) {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestAWriteErrorWhileUnpackingNamesTheCureAndIsCured(t *testing.T) {
	t.Parallel()
	r, s := newRelease(t), newStore(t)
	// Compressible, so that the download fits and the unpacked file does not.
	files := appFiles(1)
	files["libggml-cuda.so"] = strings.Repeat("zeros", 200_000)
	r.m.Bundles[0].App = r.add(t, "app", "big.tar.zst", files)
	in := r.childInput(s)
	in.FileLimit, in.Runtime = 500_000, ""
	out, err := childCommand(t, in).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "file too large") ||
		!strings.Contains(string(out), "unpacking big.tar.zst into") || !strings.Contains(string(out), "hint: the file is larger") {
		t.Fatalf("%v: %s", err, out)
	}
	wantNames(t, s, "store.json", "lock", "downloads/D") // the download is kept
	got := install(t, s, r.input())
	if r.requests() != "big.tar.zst:1 runtime.tar.zst:1" {
		t.Error(r.requests())
	}
	if err := s.Verify(t.Context(), got, true); err != nil {
		t.Error(err)
	}
}
